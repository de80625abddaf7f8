"""Bounds on what a request may contain. Each is checked before the memory that it bounds is taken."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.core.units import BYTES_PER_MIB


@dataclass(frozen=True, slots=True)
class Limits:
    """One server's bounds. A larger value admits larger requests and lets one caller hold more memory.

    `max_tensor_bytes` is the size of all inputs of a request together, as packed bytes.
    `max_nested_elements` bounds `data` written as nested arrays, whose Python lists cost about ten times the
    packed bytes; flat `data` is read piece by piece and is bounded by `max_tensor_bytes` alone.
    `fast_body_bytes`: bodies up to this length are decoded in one step; longer ones check shapes before data.
    """

    max_body_bytes: int = 64 * BYTES_PER_MIB
    max_tensor_bytes: int = 64 * BYTES_PER_MIB
    max_inputs: int = 64
    max_outputs: int = 64
    max_dims: int = 16
    max_id_bytes: int = 256
    max_parameters_bytes: int = 4_096
    max_shape_bytes: int = 4_096
    max_outputs_bytes: int = 65_536
    max_nested_elements: int = 1_048_576
    fast_body_bytes: int = 65_536
    max_timeout_us: int = 2**63 - 1
    max_priority: int = 255
    max_classes: int = 1_000


DEFAULT_LIMITS = Limits()
