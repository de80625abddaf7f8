"""What the host carries: the most instances that cores, memory and GPU memory allow. Pure.

Rules: a bound limits growth only: it takes nothing away, and never undercuts the policy's minimum; what was not
measured bounds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import say

# Share of a memory that is left alone by growth. Larger: calmer beside others' sudden needs, fewer instances.
SPARE_RATIO = 0.1


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `count`, since `words` (completes "… is what …")."""

    count: int
    words: str


def core_limit(cores: int, threads_per_instance: int) -> int:
    """How many instances the cores carry without sharing; at least one. Threads 0 (automatic): one core each."""
    return max(cores // max(threads_per_instance, 1), 1)


def core_bound(cores: int, threads_per_instance: int) -> Bound:
    """See `core_limit`."""
    return Bound(core_limit(cores, threads_per_instance), say("the cores carry (%(cores)s)", cores=cores))


def memory_bound(
    name: str, current: int, total_bytes: int | None, used_bytes: int | None, instance_bytes: int | None
) -> Bound | None:
    """`current` and as many more as fit into what is free of `name`, a tenth of it left alone. None: not measured."""
    if not total_bytes or used_bytes is None or not instance_bytes:
        return None
    free_bytes = max(total_bytes * (1 - SPARE_RATIO) - used_bytes, 0)
    more = int(free_bytes // instance_bytes)
    words = say(
        "the %(name)s carries (%(free_bytes)s MiB free, %(instance_bytes)s MiB an instance)",
        name=name,
        free_bytes=round(free_bytes) // BYTES_PER_MIB,
        instance_bytes=instance_bytes // BYTES_PER_MIB,
    )
    return Bound(current + more, words)


def tightest(bounds: Sequence[Bound | None], minimum: int, maximum: int) -> Bound:
    """The bound that growth meets first; the policy's maximum where no other is tighter."""
    found = Bound(maximum, say("the policy allows"))
    for bound in bounds:
        if bound is not None and max(bound.count, minimum) < found.count:
            found = Bound(max(bound.count, minimum), bound.words)
    return found
