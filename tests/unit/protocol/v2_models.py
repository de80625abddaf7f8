"""Versions with signatures of every kind, and bodies for them."""

from __future__ import annotations

import json
from typing import Any

from proxy.core.requests import InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Signature, TensorSpec


def version(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = (), batchable: bool = True) -> VersionSnapshot:
    outputs = outputs or (TensorSpec("y", "FP32", (-1, 10)),)
    return VersionSnapshot(
        "digits", 3, "digest", "path", "torchscript", Signature(tuple(inputs), outputs), batchable=batchable
    )


DIGITS = version(TensorSpec("x", "FP32", (-1, 64)))
PAIR = version(TensorSpec("left", "FP32", (-1, 2)), TensorSpec("right", "INT64", (-1, 3)))
IMAGE = version(TensorSpec("image", "FP32", (-1, 2, 2)))
VOICE = version(TensorSpec("audio", "FP32", (1, -1)), TensorSpec("rate", "INT64", (1,)), batchable=False)


def one(datatype: str, shape: tuple[int, ...] = (-1, 2)) -> VersionSnapshot:
    return version(TensorSpec("x", datatype, shape))


def tensor(
    name: str = "x", shape: Any = (1, 64), datatype: Any = "FP32", data: Any = None, **more: Any
) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": [0.5] * 64 if data is None else data, **more}


def body(*inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": list(inputs) or [tensor()], **more}).encode()


def request(
    of: VersionSnapshot, rows: int = 1, request_id: str | None = None, outputs: tuple[str, ...] | None = None
) -> InferenceRequest:
    return InferenceRequest(of, (), rows, 0, 0, request_id=request_id, outputs=outputs)
