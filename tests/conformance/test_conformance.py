"""Open Inference Protocol, REST, with the binary tensor data, statistics and repository extensions: against any server.

    python -m pytest tests/conformance/test_conformance.py --url http://host:port --model name [--key …]

What a server does not claim (`extensions` of its metadata) is skipped, with the reason.
"""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conformance_cast import HEADER, NO_JSON_FORM, OCTETS, Target, refused, same

STATISTICS_LAG_S = 2.0

# Health and metadata.


def test_the_server_is_live_and_ready(target: Target) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert target.client.get(path).status_code == 200


def test_the_servers_metadata_names_it_and_its_extensions(target: Target) -> None:
    body = target.client.get("/v2").json()
    assert all(isinstance(body[field], str) and body[field] for field in ("name", "version"))
    assert all(isinstance(extension, str) for extension in body["extensions"])


def test_the_model_is_ready(target: Target) -> None:
    assert target.client.get(f"{target.path}/ready").status_code == 200


def test_the_models_metadata_declares_its_tensors(target: Target) -> None:
    body = target.metadata
    assert body["name"] == target.model
    assert isinstance(body["platform"], str)
    for spec in (*body["inputs"], *body["outputs"]):
        assert set(spec) == {"name", "datatype", "shape"}
        assert all(isinstance(size, int) and (size > 0 or size == -1) for size in spec["shape"])


def test_every_version_can_be_named(target: Target) -> None:
    for version in target.metadata.get("versions", []):
        assert isinstance(version, str)
        path = f"{target.path}/versions/{version}"
        assert target.client.get(path).json()["name"] == target.model
        assert target.client.get(f"{path}/ready").status_code == 200


# Inference in JSON.


@pytest.fixture
def in_json(target: Target) -> Target:
    if not target.has_json_form:
        pytest.skip("an input of this model has no JSON form")
    return target


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("nested", [False, True])
def test_an_inference_returns_every_output(in_json: Target, rows: int, nested: bool) -> None:
    found = in_json.outputs(in_json.infer({"inputs": in_json.inputs(in_json.arrays(rows), nested=nested)}))
    declared = {spec["name"]: spec["shape"] for spec in in_json.metadata["outputs"]}
    assert sorted(found) == sorted(declared)
    for name, array in found.items():
        assert len(array.shape) == len(declared[name])
        assert all(size in (-1, got) for size, got in zip(declared[name], array.shape, strict=True))


def test_the_id_comes_back_and_only_when_it_was_given(in_json: Target) -> None:
    inputs = in_json.inputs(in_json.arrays())
    for request_id in ("42", 'quotes " and \\ and é'):
        assert in_json.infer({"id": request_id, "inputs": inputs}).json()["id"] == request_id
    assert not in_json.infer({"inputs": inputs}).json().get("id")


def test_each_version_answers_as_itself(in_json: Target) -> None:
    for version in in_json.metadata.get("versions", []):
        path = f"{in_json.path}/versions/{version}"
        response = in_json.infer({"inputs": in_json.inputs(in_json.arrays())}, path)
        assert response.json()["model_version"] == version


def test_each_output_can_be_asked_for_by_itself(in_json: Target) -> None:
    inputs = in_json.inputs(in_json.arrays())
    everything = in_json.outputs(in_json.infer({"inputs": inputs}))
    for name, array in everything.items():
        same(in_json.outputs(in_json.infer({"inputs": inputs, "outputs": [{"name": name}]})), {name: array})


def test_the_order_of_inputs_does_not_matter(in_json: Target) -> None:
    inputs = in_json.inputs(in_json.arrays(2))
    forward = in_json.outputs(in_json.infer({"inputs": inputs}))
    same(in_json.outputs(in_json.infer({"inputs": inputs[::-1]})), forward)


def test_rows_of_one_request_are_answered_as_if_they_came_alone(in_json: Target) -> None:
    arrays = in_json.arrays(3)
    together = in_json.outputs(in_json.infer({"inputs": in_json.inputs(arrays)}))
    for row in range(3):
        one = {name: array[row : row + 1] for name, array in arrays.items()}
        alone = in_json.outputs(in_json.infer({"inputs": in_json.inputs(one)}))
        same(alone, {name: array[row : row + 1] for name, array in together.items()})


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_is_read(in_json: Target, coding: str, compress: Callable[[bytes], bytes]) -> None:
    body = {"inputs": in_json.inputs(in_json.arrays())}
    response = in_json.infer(compress(json.dumps(body).encode()), headers={"content-encoding": coding})
    if response.status_code == 415:
        pytest.skip(f"the server reads no {coding}")
    same(in_json.outputs(response), in_json.outputs(in_json.infer(body)))


# What is refused.


def broken(target: Target, **changes: Any) -> dict[str, Any]:
    first, *rest = target.inputs(target.arrays())
    return {"inputs": [{**first, **changes}, *rest]}


REFUSED: dict[str, Callable[[Target], Any]] = {
    "no body": lambda _: b"",
    "not json": lambda _: b"{",
    "an array": lambda _: [],
    "no inputs": lambda _: {},
    "empty inputs": lambda _: {"inputs": []},
    "a missing input": lambda t: {"inputs": t.inputs(t.arrays())[1:]},
    "an unknown input": lambda t: broken(t, name="no such input"),
    "another datatype": lambda t: broken(
        t, datatype="FP64" if t.metadata["inputs"][0]["datatype"] != "FP64" else "FP32"
    ),
    "an unknown datatype": lambda t: broken(t, datatype="FP31"),
    "a dimension too many": lambda t: broken(t, shape=[*t.inputs(t.arrays())[0]["shape"], 1]),
    "a negative size": lambda t: broken(t, shape=[-1] * len(t.metadata["inputs"][0]["shape"])),
    "a huge size": lambda t: broken(t, shape=[2**62] * len(t.metadata["inputs"][0]["shape"])),
    "too few values": lambda t: broken(t, data=t.inputs(t.arrays())[0]["data"][:-1]),
    "too many values": lambda t: broken(t, data=t.inputs(t.arrays())[0]["data"] * 2),
    "text for numbers": lambda t: broken(t, data=["x"] * len(t.inputs(t.arrays())[0]["data"])),
    "an unknown output": lambda t: {"inputs": t.inputs(t.arrays()), "outputs": [{"name": "no such output"}]},
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_a_wrong_body_is_the_clients_error_in_words(in_json: Target, what: str) -> None:
    refused(in_json.infer(REFUSED[what](in_json)))
    assert in_json.infer({"inputs": in_json.inputs(in_json.arrays())}).status_code == 200  # and the server goes on


def test_an_unknown_model_or_version_is_an_error(target: Target) -> None:
    body = {"inputs": []}
    for path in ("/v2/models/no-such-model", f"{target.path}/versions/987654321"):
        refused(target.infer(body, path))
        refused(target.client.get(path))


def test_inference_is_post_only(target: Target) -> None:
    assert target.client.get(f"{target.path}/infer").status_code in (400, 404, 405)


# Binary tensor data.


@pytest.fixture
def binary(target: Target) -> Target:
    target.needs("binary_tensor_data")
    return target


RAW_OUTPUTS = {"parameters": {"binary_data_output": True}}


@pytest.mark.parametrize("rows", [1, 3])
def test_raw_and_json_give_the_same_answers(binary: Target, rows: int) -> None:
    arrays = binary.arrays(rows)
    raw = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    if binary.answers_in_json:
        same(binary.outputs(binary.infer_binary(arrays)), raw)
    if binary.has_json_form:
        same(binary.outputs(binary.infer({"inputs": binary.inputs(arrays)})), raw)
        same(binary.outputs(binary.infer({"inputs": binary.inputs(arrays), **RAW_OUTPUTS})), raw)


def test_raw_and_json_inputs_mix(binary: Target) -> None:
    arrays = binary.arrays(2)
    expected = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    for name in arrays:
        if binary.datatype(name) not in NO_JSON_FORM:
            same(binary.outputs(binary.infer_binary(arrays, as_json=(name,), **RAW_OUTPUTS)), expected)


def test_each_output_says_how_it_wants_to_come(binary: Target) -> None:
    if not binary.answers_in_json:
        pytest.skip("an output of this model has no JSON form")
    names = [spec["name"] for spec in binary.metadata["outputs"]]
    for raw_one in names:
        wanted = [{"name": name, "parameters": {"binary_data": name == raw_one}} for name in names]
        response = binary.infer_binary(binary.arrays(), outputs=wanted)
        head = json.loads(response.content[: int(response.headers[HEADER])])
        assert {o["name"]: "data" not in o for o in head["outputs"]} == {name: name == raw_one for name in names}


def test_raw_bytes_at_odd_offsets_are_read(binary: Target) -> None:
    arrays = binary.arrays(2)
    expected = binary.outputs(binary.infer_binary(arrays, **RAW_OUTPUTS))
    for padding in range(1, 9):
        same(binary.outputs(binary.infer_binary(arrays, id="i" * padding, **RAW_OUTPUTS)), expected)


@pytest.mark.parametrize("length", ["-1", "abc", "99999999", ""])
def test_a_wrong_length_of_the_json_part_is_refused(binary: Target, length: str) -> None:
    good = binary.infer_binary(binary.arrays()).request
    headers = {HEADER: length, "content-type": OCTETS}
    refused(binary.infer(good.content, headers=headers))


@pytest.mark.parametrize("change", [-1, 1])
def test_raw_bytes_that_do_not_add_up_are_refused(binary: Target, change: int) -> None:
    good = binary.infer_binary(binary.arrays()).request
    content = good.content[:change] if change < 0 else good.content + b"x"
    refused(binary.infer(content, headers={HEADER: good.headers[HEADER], "content-type": OCTETS}))


def test_a_body_that_is_one_tensor_needs_no_json(binary: Target) -> None:
    headers = {HEADER: "0", "content-type": OCTETS}
    arrays = binary.arrays(1)
    (name, array), *others = arrays.items()
    if others:
        refused(binary.infer(array.tobytes(), headers=headers))
    else:
        found = binary.outputs(binary.infer(array.tobytes(), headers=headers))
        same(found, binary.outputs(binary.infer_binary({name: array}, **RAW_OUTPUTS)))


# Statistics and repository.


def test_statistics_grow_by_what_was_asked(target: Target) -> None:
    target.needs("statistics")

    def read() -> dict[str, Any]:
        response = target.allowed(target.client.get(f"{target.path}/stats"))
        return {s["version"]: s for s in response.json()["model_stats"]}

    def grown() -> list[tuple[int, int]]:
        """Rows and requests of each version since `before`."""
        counts = []
        for version, found in read().items():
            old = before[version]
            requests = found["inference_stats"]["success"]["count"] - old["inference_stats"]["success"]["count"]
            counts.append((found["inference_count"] - old["inference_count"], requests))
        return sorted(counts, reverse=True)

    before = read()
    target.outputs(target.infer_binary(target.arrays(3), **RAW_OUTPUTS))
    give_up = time.monotonic() + STATISTICS_LAG_S
    while grown()[0] != (3, 1) and time.monotonic() < give_up:
        time.sleep(0.02)  # a server may count after it has answered
    first, *others = grown()
    assert first == (3, 1)
    assert set(others) <= {(0, 0)}


def test_the_index_lists_the_model_as_ready(target: Target) -> None:
    target.needs("model_repository")
    response = target.allowed(target.client.post("/v2/repository/index", json={}))
    states = {entry["state"] for entry in response.json() if entry["name"] == target.model}
    assert states == {"READY"}


def test_bits_of_floats_survive_an_identity(target: Target) -> None:
    if target.model != "kinds":
        pytest.skip("needs a model that gives back what it gets")
    arrays = target.arrays(1)
    for kind, bits in (
        ("fp16", np.uint16(0x7E01)),
        ("fp32", np.uint32(0xFFC12345)),
        ("fp64", np.uint64(0x7FF8 << 48 | 9)),
    ):
        arrays[kind] = np.full((1, 3), bits).view(arrays[kind].dtype)
    found = target.outputs(target.infer_binary(arrays, **RAW_OUTPUTS))
    for name, array in arrays.items():
        assert found[f"{name}_out"].tobytes() == array.tobytes()
