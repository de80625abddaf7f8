"""Triton's own Python client, unchanged, against our server: each of its calls that applies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from conformance_server import ADMIN_KEY, OwnServer
from tritonclient.utils import InferenceServerException

HEADERS = {"Authorization": f"Bearer {ADMIN_KEY}"}
LEFT = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
RIGHT = np.array([[1, 2, 3], [4, 5, 6]], np.int64)


@pytest.fixture(scope="module")
def client(request: pytest.FixtureRequest) -> Iterator[triton.InferenceServerClient]:
    if request.config.getoption("--url", default=None):
        pytest.skip("these know our own server's models")
    own_server: OwnServer = request.getfixturevalue("own_server")
    found = triton.InferenceServerClient(own_server.url.removeprefix("http://"), concurrency=4, network_timeout=60)
    yield found
    found.close()


def inputs(*, binary: bool = True) -> list[triton.InferInput]:
    made = []
    for name, datatype, array in (("left", "FP32", LEFT), ("right", "INT64", RIGHT)):
        item = triton.InferInput(name, array.shape, datatype)
        item.set_data_from_numpy(array, binary_data=binary)
        made.append(item)
    return made


def outputs(*, binary: bool = True) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in ("scaled", "total")]


def check(result: triton.InferResult, factor: float = 2.0) -> None:
    np.testing.assert_array_equal(result.as_numpy("scaled"), LEFT * factor)
    np.testing.assert_array_equal(result.as_numpy("total"), RIGHT.sum(axis=1))


def infer(client: triton.InferenceServerClient, **more: Any) -> triton.InferResult:
    return client.infer("pair", more.pop("inputs", None) or inputs(), headers=dict(HEADERS), **more)


def test_health(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pair", headers=HEADERS)
    assert client.is_model_ready("pair", "1", headers=HEADERS)
    assert not client.is_model_ready("nothing", headers=HEADERS)


def test_metadata(client: triton.InferenceServerClient) -> None:
    assert set(client.get_server_metadata()["extensions"]) >= {"binary_tensor_data", "statistics", "model_repository"}
    found = client.get_model_metadata("pair", headers=HEADERS)
    assert (found["name"], found["versions"]) == ("pair", ["1", "2"])
    assert found["inputs"][0] == {"name": "left", "datatype": "FP32", "shape": [-1, 4]}


def test_the_configuration(client: triton.InferenceServerClient) -> None:
    found = client.get_model_config("pair", "1", headers=HEADERS)
    assert (found["name"], found["max_batch_size"]) == ("pair", 8)
    assert found["input"] == [
        {"name": "left", "data_type": "TYPE_FP32", "dims": [4]},
        {"name": "right", "data_type": "TYPE_INT64", "dims": [3]},
    ]
    assert found["output"][1] == {"name": "total", "data_type": "TYPE_INT64", "dims": [1], "reshape": {"shape": []}}
    assert client.get_model_config("words", headers=HEADERS)["input"][0]["data_type"] == "TYPE_STRING"


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("wanted", [None, True, False])
def test_infer_in_binary_and_json(client: triton.InferenceServerClient, binary_in: bool, wanted: bool | None) -> None:
    chosen = None if wanted is None else outputs(binary=wanted)
    check(infer(client, inputs=inputs(binary=binary_in), outputs=chosen))


def test_one_output_a_version_an_id_and_a_timeout(client: triton.InferenceServerClient) -> None:
    result = infer(client, outputs=outputs()[1:], model_version="1", request_id="my id", timeout=5_000_000)
    assert result.get_response()["id"] == "my id"
    assert result.get_response()["model_version"] == "1"
    assert result.as_numpy("scaled") is None
    np.testing.assert_array_equal(result.as_numpy("total"), RIGHT.sum(axis=1))
    check(infer(client, model_version="1"), factor=1.0)


def test_priority_is_taken(client: triton.InferenceServerClient) -> None:
    check(infer(client, priority=1))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_compression(client: triton.InferenceServerClient, coding: str) -> None:
    check(infer(client, request_compression_algorithm=coding, response_compression_algorithm=coding))
    check(infer(client, inputs=inputs(binary=False), request_compression_algorithm=coding))


def test_async_infer(client: triton.InferenceServerClient) -> None:
    waiting = [client.async_infer("pair", inputs(), headers=dict(HEADERS), request_id=str(n)) for n in range(16)]
    for number, one in enumerate(waiting):
        result = one.get_result()
        assert result.get_response()["id"] == str(number)
        check(result)


def test_every_datatype(client: triton.InferenceServerClient) -> None:
    kinds = {
        "bool": ("BOOL", np.bool_),
        "uint8": ("UINT8", np.uint8),
        "int8": ("INT8", np.int8),
        "int16": ("INT16", np.int16),
        "int32": ("INT32", np.int32),
        "int64": ("INT64", np.int64),
        "fp16": ("FP16", np.float16),
        "bf16": ("BF16", np.float32),  # as the client takes and gives it
        "fp32": ("FP32", np.float32),
        "fp64": ("FP64", np.float64),
    }
    made, arrays = [], {}
    for name, (datatype, dtype) in kinds.items():
        arrays[name] = np.array([[0, 1, 1]], dtype)
        item = triton.InferInput(name, [1, 3], datatype)
        item.set_data_from_numpy(arrays[name])
        made.append(item)
    result = client.infer("kinds", made, headers=dict(HEADERS))
    for name, array in arrays.items():
        np.testing.assert_array_equal(result.as_numpy(f"{name}_out"), array)


TEXTS = np.array([["plain"], ['a, "quoted" \\ one'], [""], ["é 😀"]], dtype=object)


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_strings(client: triton.InferenceServerClient, binary_in: bool, binary_out: bool) -> None:
    item = triton.InferInput("words", TEXTS.shape, "BYTES")
    item.set_data_from_numpy(TEXTS, binary_data=binary_in)
    wanted = [triton.InferRequestedOutput("words_out", binary_data=binary_out)]
    found = client.infer("words", [item], outputs=wanted, headers=dict(HEADERS)).as_numpy("words_out")
    assert [e.decode() if isinstance(e, bytes) else e for e in found.ravel()] == TEXTS.ravel().tolist()


def test_bytes_that_are_no_text_fail_alone(client: triton.InferenceServerClient) -> None:
    def ask(element: bytes) -> triton.InferAsyncRequest:
        item = triton.InferInput("words", [1, 1], "BYTES")
        item.set_data_from_numpy(np.array([[element]], dtype=object))
        return client.async_infer("words", [item], headers=dict(HEADERS))

    elements = [b"\xff" if number % 4 == 3 else b"w%d" % number for number in range(12)]
    for element, waiting in zip(elements, [ask(element) for element in elements], strict=True):
        if element == b"\xff":
            with pytest.raises(InferenceServerException, match="bytes that are not UTF-8"):
                waiting.get_result()
        else:
            assert waiting.get_result().as_numpy("words_out").tolist() == [[element]]


@pytest.mark.parametrize("binary", [True, False])
def test_classification(client: triton.InferenceServerClient, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput("scaled", binary_data=binary, class_count=2)]
    found = infer(client, outputs=wanted).as_numpy("scaled")
    texts = [[e.decode() if isinstance(e, bytes) else e for e in row] for row in found]
    assert texts == [["8.000000:3", "6.000000:2"], ["16.000000:3", "14.000000:2"]]


def test_statistics(client: triton.InferenceServerClient) -> None:
    def count() -> int:
        found = client.get_inference_statistics("pair", "2", headers=HEADERS)["model_stats"]
        assert [(s["name"], s["version"]) for s in found] == [("pair", "2")]
        return found[0]["inference_count"]

    before = count()
    check(infer(client))
    assert count() == before + len(LEFT)
    everything = client.get_inference_statistics(headers=HEADERS)["model_stats"]
    assert {s["name"] for s in everything} == {"pair", "kinds", "words"}


def test_the_repository(client: triton.InferenceServerClient) -> None:
    def states() -> set[str]:
        index = client.get_model_repository_index(headers=HEADERS)
        return {entry["state"] for entry in index if entry["name"] == "kinds"}

    assert states() == {"READY"}
    client.unload_model("kinds", headers=HEADERS)
    assert not client.is_model_ready("kinds", headers=HEADERS)
    assert "READY" not in states()
    client.load_model("kinds", headers=HEADERS)
    assert client.is_model_ready("kinds", headers=HEADERS)
    with pytest.raises(InferenceServerException, match="upload it"):
        client.load_model("kinds", headers=HEADERS, config="{}")


def test_errors_carry_the_servers_words(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="There is no model"):
        client.infer("nothing", inputs(), headers=dict(HEADERS))  # the client writes into what it is given
    with pytest.raises(InferenceServerException, match="is missing"):
        infer(client, inputs=inputs()[:1])
    with pytest.raises(InferenceServerException, match="API key"):
        client.infer("pair", inputs())
