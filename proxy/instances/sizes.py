"""How large and how wide an instance is made: batch sizes to expect, bytes of its areas, torch's threads. Pure.

Decisions: 0019-shared-memory, 0020-threads-and-devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from proxy.core.policies import BatchingPolicy
from proxy.core.tensors import DATATYPES, Signature, TensorSpec
from proxy.core.units import BYTES_PER_MIB

FIRST_AREA_LIMIT_BYTES = BYTES_PER_MIB
"""Largest area to start with; more is taken when a batch needs it. Larger: memory set aside that most models never use,
smaller: more areas that are replaced while requests wait (some tens of microseconds each)."""
_GUESSED_ELEMENTS = 64
_ALIGNMENT_BYTES = 64


def executed_rows(batching: BatchingPolicy) -> tuple[int, ...]:
    """Sizes of the executions to expect, ascending: 1, powers of two, preferred and padded sizes, the largest."""
    largest = max(batching.max_rows, 1)
    if batching.padded_rows:
        within = [rows for rows in batching.padded_rows if rows < largest]
        return tuple(sorted({*within, min([r for r in batching.padded_rows if r >= largest], default=largest)}))
    doubled = {1 << power for power in range(largest.bit_length())}
    preferred = {rows for rows in batching.preferred_rows if rows <= largest}
    return tuple(sorted(doubled | preferred | {largest}))


def first_area_bytes(signature: Signature, rows: int) -> tuple[int, int]:
    """Bytes of `rows` rows of inputs and of outputs, each at most `FIRST_AREA_LIMIT_BYTES`; open sizes are guessed."""
    return _side_bytes(signature.inputs, rows), _side_bytes(signature.outputs, rows)


def threads_of(policy_threads: int, cores: int, instances: int) -> int:
    """Threads of one of `instances` instances: the policy's, or where it says 0 such that instances x threads <= cores.

    At least one: more instances than cores is the operator's (or the scaling policy's) decision.
    """
    return policy_threads or max(1, cores // max(1, instances))


def follows_threads(model_format: str) -> bool:
    """True if an instance of this format can change its threads while it runs: an ONNX session is made with its own."""
    return model_format != "onnx"


def _side_bytes(specs: Sequence[TensorSpec], rows: int) -> int:
    total = 0
    for spec in specs:
        inner = prod(_GUESSED_ELEMENTS if size < 0 else size for size in spec.shape[1:])
        first = rows if spec.shape[:1] == (-1,) else prod(spec.shape[:1])
        size_bytes = first * inner * max(DATATYPES[spec.datatype].size_bytes, 4)
        total += -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
    return min(total, FIRST_AREA_LIMIT_BYTES)
