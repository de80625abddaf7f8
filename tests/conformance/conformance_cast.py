"""The server under test as the kit sees it: a URL, a model, and requests made from the model's own metadata."""

from __future__ import annotations

import json
from functools import cached_property
from math import prod
from typing import Any

import httpx
import numpy as np
import pytest

NUMPY = {
    "BOOL": np.dtype("?"),
    **{f"{kind}{8 * size}": np.dtype(f"<{kind[0].lower()}{size}") for kind in ("INT", "UINT") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
NO_JSON_FORM = ("FP16", "BF16")
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

    @property
    def has_json_form(self) -> bool:
        """The protocol has no JSON form for FP16 and BF16."""
        return all(spec["datatype"] not in NO_JSON_FORM for spec in self.metadata["inputs"])

    @property
    def answers_in_json(self) -> bool:
        return all(spec["datatype"] not in NO_JSON_FORM for spec in self.metadata["outputs"])

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
            high = 2 if spec["datatype"] == "BOOL" else 50
            found[spec["name"]] = random.integers(0, high, shape).astype(NUMPY[spec["datatype"]])
        return found

    def inputs(self, arrays: dict[str, np.ndarray], *, nested: bool = False) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "datatype": self.datatype(name),
                "shape": list(array.shape),
                "data": array.tolist() if nested else array.ravel().tolist(),
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
                item |= {"shape": list(array.shape), "parameters": {"binary_data_size": array.nbytes}}
                raws.append(array.tobytes())
        head = json.dumps({"inputs": inputs, **more}).encode()
        return self.infer(b"".join((head, *raws)), headers={HEADER: str(len(head)), "content-type": OCTETS})

    def outputs(self, response: httpx.Response) -> dict[str, np.ndarray]:
        """The answer's outputs, each held against its own head and the model's metadata."""
        assert response.status_code == 200, response.text
        json_bytes = int(response.headers.get(HEADER, len(response.content)))
        answer, rest = json.loads(response.content[:json_bytes]), response.content[json_bytes:]
        assert answer["model_name"] == self.model
        found = {}
        for output in answer["outputs"]:
            dtype = NUMPY[output["datatype"]]
            assert output["datatype"] == self.datatype(output["name"])
            size_bytes = output.get("parameters", {}).get("binary_data_size")
            if size_bytes is None:
                array = np.array(output["data"], dtype)
                assert array.size == prod(output["shape"])
            else:
                assert "data" not in output
                assert size_bytes == prod(output["shape"]) * dtype.itemsize
                array, rest = np.frombuffer(rest[:size_bytes], dtype), rest[size_bytes:]
            found[output["name"]] = array.reshape(output["shape"])
        assert not rest
        return found


OCTETS = "application/octet-stream"


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    """Equal names, shapes and values; floats within the last digits, since batches may be formed differently."""
    assert list(left) == list(right)
    for name, array in left.items():
        assert array.shape == right[name].shape
        np.testing.assert_allclose(array, right[name], rtol=1e-3 if array.dtype.itemsize == 2 else 1e-5)


def refused(response: httpx.Response, *statuses: int) -> None:
    """An error of the protocol: a status of the client's fault (or one of `statuses`) and a text under `error`."""
    assert response.status_code in (statuses or range(400, 500)), f"{response.status_code}: {response.text[:200]}"
    error = response.json()["error"]
    assert isinstance(error, str)
    assert error
