"""Open Inference Protocol, REST, and its extensions, against any server: health, metadata, JSON, refusals.

    python -m pytest tests/conformance --url http://host:port --model name [--key …]

What a server does not claim (`extensions` of its metadata) is skipped, with the reason.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from conformance_cast import Target, refused, same

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


def is_text(target: Target) -> bool:
    return target.metadata["inputs"][0]["datatype"] == "BYTES"


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
    "text for numbers, or numbers for text": lambda t: broken(
        t, data=[7 if is_text(t) else "x"] * len(t.inputs(t.arrays())[0]["data"])
    ),
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
