"""How a row is written as a request body and read from an answer: V2 JSON, V2 with binary tensors, plain lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message

import numpy as np

Row = list[float]
JSON_TYPE = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Wire:
    """One way to talk to a server. `headers(row)` are those of a request with that row."""

    write: Callable[[Row], bytes]
    read: Callable[[bytes, Message], Row]
    headers: Callable[[Row], dict[str, str]] = field(default=lambda _: dict(JSON_TYPE))


def _v2_write(row: Row) -> bytes:
    tensor = {"name": "x", "shape": [1, len(row)], "datatype": "FP32", "data": row}
    return json.dumps({"inputs": [tensor]}).encode()


def _v2_read(body: bytes, _headers: Message) -> Row:
    row: Row = json.loads(body)["outputs"][0]["data"]
    return row


def _binary_head(row: Row) -> bytes:
    tensor = {
        "name": "x",
        "shape": [1, len(row)],
        "datatype": "FP32",
        "parameters": {"binary_data_size": 4 * len(row)},
    }
    return json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()


def _binary_write(row: Row) -> bytes:
    return _binary_head(row) + np.asarray(row, dtype="<f4").tobytes()


def _binary_read(body: bytes, headers: Message) -> Row:
    row: Row = np.frombuffer(body, dtype="<f4", offset=int(headers["Inference-Header-Content-Length"])).tolist()
    return row


def _binary_headers(row: Row) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(_binary_head(row))),
    }


V2_JSON = Wire(_v2_write, _v2_read)
V2_BINARY = Wire(_binary_write, _binary_read, _binary_headers)
LISTS = Wire(lambda row: json.dumps({"x": [row]}).encode(), lambda body, _: list(json.loads(body)[0]))
