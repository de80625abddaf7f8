"""Which loaded versions must go to sleep so that instances stay within their memory budget. Pure.

    over = memory of all instances + what is about to be loaded − budget
    leave: idle versions, longest unused first, until over ≤ 0

Rules: a version that was asked for within `TRAFFIC_NS` keeps its instances, whatever the budget says; one that leaves
is asleep, not unloaded: a request wakes it. Nobody leaves for nothing: if all idle ones together do not free enough,
they leave still, since what is over budget is at the mercy of the kernel.
Source: TensorFlow Serving keeps no such budget; Triton leaves it to the operator. Least recently used as in any cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.core.units import BYTES_PER_MIB, NS_PER_S

# A version asked for within this time has traffic. Larger: memory is held longer, fewer versions wake in turns.
TRAFFIC_NS = 60 * NS_PER_S
# Share of the host that instances and everything else may take together when no budget is set. Larger: less is left
# for the page cache that artifacts are read through, and for a sudden need.
AUTOMATIC_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Resident:
    """A version with instances. `is_idle`: nothing waits or runs."""

    key: str
    memory_bytes: int
    last_used_ns: int
    is_idle: bool


@dataclass(frozen=True, slots=True)
class Eviction:
    """`key` is put to sleep; `words` say why, for the page."""

    key: str
    words: str


def budget_bytes(configured_bytes: int, host_total_bytes: int, host_used_bytes: int, instances_bytes: int) -> int:
    """The configured budget; if that is 0, 90 % of the host less what everything but the instances uses."""
    if configured_bytes:
        return configured_bytes
    others_bytes = max(host_used_bytes - instances_bytes, 0)
    return max(round(host_total_bytes * AUTOMATIC_SHARE) - others_bytes, 0)


def leave_first(residents: Sequence[Resident], budget: int, needed_bytes: int, now_ns: int) -> list[Eviction]:
    """The versions to put to sleep, in order. `needed_bytes` are about to be loaded."""
    used = sum(resident.memory_bytes for resident in residents)
    over = used + needed_bytes - budget
    idle = [one for one in residents if one.is_idle and now_ns - one.last_used_ns >= TRAFFIC_NS and one.memory_bytes]
    leaving = []
    for one in sorted(idle, key=lambda resident: (resident.last_used_ns, resident.key)):
        if over <= 0:
            break
        over -= one.memory_bytes
        words = (
            f"Asleep to free {one.memory_bytes // BYTES_PER_MIB} MiB: instances used {used // BYTES_PER_MIB} MiB"
            f"{_and_needed(needed_bytes)} of a budget of {budget // BYTES_PER_MIB} MiB, and it was unused for "
            f"{(now_ns - one.last_used_ns) // NS_PER_S} s, longest of all. A request wakes it."
        )
        leaving.append(Eviction(one.key, words))
    return leaving


def _and_needed(needed_bytes: int) -> str:
    return f" and {needed_bytes // BYTES_PER_MIB} MiB more were needed" if needed_bytes else ""
