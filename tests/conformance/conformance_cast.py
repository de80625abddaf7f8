"""The server under test as the kit sees it: a URL, a model, and requests made from the model's own metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from math import prod
from typing import Any

import httpx
import numpy as np
import pytest

# How the kit holds each datatype: BF16 as float32 (its values here are exact in both), BYTES as Python's bytes.
NUMPY = {
    "BOOL": np.dtype("?"),
    **{f"{kind}{8 * size}": np.dtype(f"<{kind[0].lower()}{size}") for kind in ("INT", "UINT") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
    "BF16": np.dtype("<f4"),
    "BYTES": np.dtype(object),
}
NO_JSON_FORM = ("FP16", "BF16")  # a server may read and write them as numbers all the same: it is asked
TEXTS = ["", "plain", "a, b", 'quo"te', "back\\slash", "é", "😀", "[1]", "null", "a\tb", "long " * 40]
HEADER = "inference-header-content-length"
VARIABLE_SIZE = 2  # what a variable dimension other than the rows is tried with


class Target:
    """One model of one server."""

    def __init__(self, client: httpx.Client, model: str) -> None:
        self.client = client
        self.model = model
        self.path = f"/v2/models/{model}"

    @cached_property
    def metadata(self) -> dict[str, Any]:
        response = self.client.get(self.path)
        assert response.status_code == 200, response.text
        return response.json()

    @cached_property
    def extensions(self) -> list[str]:
        return self.client.get("/v2").json()["extensions"]

    def needs(self, extension: str) -> None:
        """Skip where the server does not claim the extension."""
        if extension not in self.extensions:
            pytest.skip(f"the server does not claim {extension}")

    def allowed(self, response: httpx.Response) -> httpx.Response:
        """Skip where the server keeps a claimed extension from this caller."""
        if response.status_code in (401, 403):
            pytest.skip(f"not for this caller: {response.text[:100]}")
        return response

    @cached_property
    def has_json_form(self) -> bool:
        """The protocol has no JSON form for FP16 and BF16; servers that read and write them as numbers are checked."""
        if self._has_one_by_the_protocol("inputs"):
            return True
        body = {"inputs": self.inputs(self.arrays())}
        return self.answers_in_json and self.infer(body).status_code == 200

    @cached_property
    def answers_in_json(self) -> bool:
        return self._has_one_by_the_protocol("outputs") or self.infer_binary(self.arrays()).status_code == 200

    def _has_one_by_the_protocol(self, side: str) -> bool:
        return all(spec["datatype"] not in NO_JSON_FORM for spec in self.metadata[side])

    def arrays(self, rows: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
        """Small whole numbers for every input, so that every datatype and JSON carry them exactly."""
        random = np.random.default_rng(seed)
        found = {}
        for spec in self.metadata["inputs"]:
            if spec["datatype"] not in NUMPY:
                pytest.skip(f"the kit makes no {spec['datatype']} tensors")
            shape = [
                rows if not axis else VARIABLE_SIZE if size == -1 else size for axis, size in enumerate(spec["shape"])
            ]
            high = {"BOOL": 2, "BYTES": len(TEXTS)}.get(spec["datatype"], 50)
            numbers = random.integers(0, high, shape)
            if spec["datatype"] == "BYTES":
                found[spec["name"]] = strings((TEXTS[number].encode() for number in numbers.flat), numbers.shape)
            else:
                found[spec["name"]] = numbers.astype(NUMPY[spec["datatype"]])
        return found

    def inputs(self, arrays: dict[str, np.ndarray], *, nested: bool = False) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "datatype": self.datatype(name),
                "shape": list(array.shape),
                "data": as_json(array) if nested else as_json(array.ravel()),
            }
            for name, array in arrays.items()
        ]

    def datatype(self, name: str) -> str:
        specs = [*self.metadata["inputs"], *self.metadata["outputs"]]
        return next(spec["datatype"] for spec in specs if spec["name"] == name)

    def infer(self, body: Any, path: str | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        return self.client.post(f"{path or self.path}/infer", content=content, headers=headers)

    def infer_binary(
        self, arrays: dict[str, np.ndarray], *, as_json: tuple[str, ...] = (), **more: Any
    ) -> httpx.Response:
        """Inputs raw, but those in `as_json`."""
        inputs = self.inputs({name: array if name in as_json else array[:0] for name, array in arrays.items()})
        raws = []
        for item in inputs:
            array = arrays[item["name"]]
            if item["name"] not in as_json:
                del item["data"]
                raw = as_raw(array, item["datatype"])
                item |= {"shape": list(array.shape), "parameters": {"binary_data_size": len(raw)}}
                raws.append(raw)
        return self.infer_framed({"inputs": inputs, **more}, raws)

    def infer_framed(self, head_json: Any, raws: Iterable[bytes]) -> httpx.Response:
        """JSON, and raw tensors behind it."""
        head = json.dumps(head_json).encode()
        return self.infer(b"".join((head, *raws)), headers={HEADER: str(len(head)), "content-type": OCTETS})

    def outputs(self, response: httpx.Response, classified: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
        """The answer's outputs, each held against its own head and (but for `classified`) the model's metadata."""
        assert response.status_code == 200, response.text
        json_bytes = int(response.headers.get(HEADER, len(response.content)))
        answer, rest = json.loads(response.content[:json_bytes]), response.content[json_bytes:]
        assert answer["model_name"] == self.model
        found = {}
        for output in answer["outputs"]:
            if output["name"] not in classified:
                assert output["datatype"] == self.datatype(output["name"])
            size_bytes = output.get("parameters", {}).get("binary_data_size")
            if size_bytes is None:
                array = from_json(output["data"], output["datatype"])
            else:
                assert "data" not in output
                array, rest = from_raw(rest[:size_bytes], output["datatype"]), rest[size_bytes:]
            assert array.size == prod(output["shape"])
            found[output["name"]] = array.reshape(output["shape"])
        assert not rest
        return found


OCTETS = "application/octet-stream"
RAW_OUTPUTS = {"parameters": {"binary_data_output": True}}


def strings(elements: Iterable[bytes], shape: tuple[int, ...]) -> np.ndarray:
    """An array of bytes objects; numpy's own constructor would make fixed-width strings of them."""
    found = np.empty(prod(shape), object)
    for place, element in enumerate(elements):
        found[place] = element
    return found.reshape(shape)


def as_json(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    return [as_json(inner) if isinstance(inner, np.ndarray) else inner.decode() for inner in array]


def as_raw(array: np.ndarray, datatype: str) -> bytes:
    if datatype == "BYTES":
        return b"".join(len(element).to_bytes(4, "little") + element for element in array.flat)
    if datatype == "BF16":
        return (np.ascontiguousarray(array).view("<u4") >> 16).astype("<u2").tobytes()
    return array.tobytes()


def from_json(data: Any, datatype: str) -> np.ndarray:
    if datatype != "BYTES":
        return np.array(data, NUMPY[datatype]).ravel()
    elements = list(flat(data))
    return strings((element.encode() for element in elements), (len(elements),))


def flat(data: Any) -> Iterable[str]:
    for inner in data:
        if isinstance(inner, list):
            yield from flat(inner)
        else:
            yield inner


def from_raw(raw: bytes, datatype: str) -> np.ndarray:
    if datatype == "BF16":
        return (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
    if datatype != "BYTES":
        return np.frombuffer(raw, NUMPY[datatype])
    elements, at = [], 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        assert end <= len(raw), "an element ends behind its tensor"
        elements.append(raw[at + 4 : end])
        at = end
    return strings(elements, (len(elements),))


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    """Equal names, shapes and values; floats within the last digits, since batches may be formed differently."""
    assert list(left) == list(right)
    for name, array in left.items():
        assert array.shape == right[name].shape
        if array.dtype == object:
            assert array.tolist() == right[name].tolist()
            continue
        np.testing.assert_allclose(array, right[name], rtol=1e-3 if array.dtype.itemsize == 2 else 1e-5)


def refused(response: httpx.Response, *statuses: int) -> None:
    """An error of the protocol: a status of the client's fault (or one of `statuses`) and a text under `error`."""
    assert response.status_code in (statuses or range(400, 500)), f"{response.status_code}: {response.text[:200]}"
    error = response.json()["error"]
    assert isinstance(error, str)
    assert error
