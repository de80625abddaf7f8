"""Which instances sit on a GPU, by version. Pure.

Rules: an instance sits where it says that it does, from when it is ready until its process is gone: one that drains
still holds memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypedDict

from proxy.core.reports import GpuReport, InstanceReport

MOST_NAMED = 20
"""Versions of a GPU that are named; all are counted. Larger: a longer message to every page each second."""
GONE = frozenset({"stopped", "failed"})


class Held(TypedDict):
    """How many instances of a version sit on the GPU."""

    model: str
    version: int
    instances: int


class Holds(TypedDict):
    """The versions with the most instances on a GPU, and how many versions there are in all."""

    holds: list[Held]
    held_versions: int


def holds(gpu: GpuReport, instances: Iterable[InstanceReport]) -> Holds:
    """What sits on the GPU, the most instances first."""
    counts = Counter(
        (instance.model, instance.version)
        for instance in instances
        if gpu.device and instance.device == gpu.device and instance.state not in GONE
    )
    largest = sorted(counts.items(), key=lambda of: (-of[1], of[0]))[:MOST_NAMED]
    named = [Held(model=model, version=version, instances=count) for (model, version), count in largest]
    return Holds(holds=named, held_versions=len(counts))
