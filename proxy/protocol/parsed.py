"""What a V2 body says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.core.requests import NONE_BINARY
from proxy.core.tensors import Tensor


@dataclass(slots=True)
class ParsedRequest:
    """`inputs` in the signature's order. `outputs` None means all; `timeout_us` is a wish that may only shorten.

    `binary_outputs` are the outputs to answer as raw bytes behind the JSON, `top_classes` those to answer as that many
    of their highest values (None: no output).
    """

    request_id: str | None
    inputs: tuple[Tensor, ...]
    rows: int
    outputs: tuple[str, ...] | None
    priority: int
    timeout_us: int | None
    binary_outputs: frozenset[str] = NONE_BINARY
    top_classes: Mapping[str, int] | None = None
