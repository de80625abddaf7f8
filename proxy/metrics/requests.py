"""Which answered requests are remembered, and the rings that they are remembered in. Pure: driven by `now_ns`.

Place: answering asks `wants` for each answer and, rarely, hands over what was noted; the gateway reads.
Rules: nothing of inputs or outputs is kept; memory is bounded (MAX_MODELS × (RECENT + ERRORS + 2 × SLOWEST) entries of
about half a KiB); a model keeps RATE_PER_S requests a second in detail, with bursts, and all that share a batch with
one of them; the slowest of the last minutes are kept whatever was sampled, but where latency rises steadily, so that
each is the slowest so far, RATE_PER_S of them and whatever is slower by RECORD_RATIO than all before. Reading copies
lists, which is one step of the interpreter, so any thread may read while the loop writes.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from proxy.core.batches import Run
from proxy.core.units import NS_PER_S
from proxy.metrics.request_parts import Parts

# Models that are remembered at one time. Larger: more memory (at most about 150 KiB each).
MAX_MODELS = 128
# The newest sampled requests of a model. Larger: a longer look back, more memory.
RECENT = 96
# The newest requests of a model that ended in an error.
ERRORS = 32
# The slowest requests of a model in one window.
SLOWEST = 32
# Two windows are kept: the slowest are exact for the last WINDOW to 2 × WINDOW.
WINDOW_NS = 150 * NS_PER_S
# Sampled requests of a model a second, and how many more may come at once. Larger: more detail, more time on the loop.
RATE_PER_S = 20
BURST = 64
# How many of the slowest may come at once. Larger: a rise costs more; smaller: after a rise, some of them are missed.
SLOW_BURST = 8 * SLOWEST
# What is slower than all before by this is kept whatever the rate. Smaller: a rise costs more, and is shown finer.
RECORD_RATIO = 1.25
# Of all models together.
TOTAL_RATE_PER_S = 200

_NEVER_NS = 1 << 62


@dataclass(frozen=True, slots=True)
class Kept:
    """One remembered request; `arrival_ns` is monotonic. `leader_id`: whose execution answered it, where shared.

    `other_ids`: what it is called beside `request_id` (proxy.core.request_ids).
    """

    number: int
    request_id: str
    model: str
    version: int
    principal_id: str
    arrival_ns: int
    total_ns: int
    status: int
    reason: str
    parts: Parts
    rows: int = 0
    cache: str = ""
    attempts: int = 0
    run: Run | None = None
    leader_id: str = ""
    other_ids: tuple[str, ...] = ()

    def is_called(self, text: str) -> bool:
        """True if one of its ids holds `text`."""
        return text in self.request_id or any(text in other for other in self.other_ids)


class Mark(NamedTuple):
    """What tells one request from all others of this process, and the name that we make of it."""

    number: int
    made_id: str


class Rate:
    """Lets `per_s` a second pass, and `burst` at once (GCRA). `due_ns`: from when on the next one may pass."""

    __slots__ = ("_burst_ns", "_interval_ns", "_next_ns", "due_ns")

    def __init__(self, per_s: int, burst: int) -> None:
        self._interval_ns = NS_PER_S // per_s
        self._burst_ns = burst * self._interval_ns
        self._next_ns = 0
        self.due_ns = 0

    def count(self, now_ns: int) -> None:
        """One has passed."""
        self._next_ns = max(self._next_ns, now_ns) + self._interval_ns
        self.due_ns = self._next_ns - self._burst_ns

    def hold(self, until_ns: int) -> None:
        """Let none pass before `until_ns`."""
        self.due_ns = max(self.due_ns, until_ns)


class Ring:
    """The newest `size` entries."""

    __slots__ = ("_entries", "_position", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._position = 0
        self._entries: list[Kept] = []

    def append(self, kept: Kept) -> None:
        """Add one, forgetting the oldest if it is full."""
        if len(self._entries) < self._size:
            self._entries.append(kept)
            return
        self._entries[self._position] = kept
        self._position = (self._position + 1) % self._size

    def copy(self) -> list[Kept]:
        """What is there, in no order."""
        return self._entries.copy()


class OfModel:
    """What is remembered of one model. `slow_ns`: longer than this is among the slowest of the window.

    `slow_rate` bounds how many of those are kept; `record_ns`: longer than this is kept in any case.
    """

    __slots__ = (
        "_before",
        "_began_ns",
        "_slowest",
        "errors",
        "rate",
        "recent",
        "record_ns",
        "run",
        "slow_ns",
        "slow_rate",
        "touched_ns",
    )

    def __init__(self, now_ns: int) -> None:
        self.recent = Ring(RECENT)
        self.errors = Ring(ERRORS)
        self.rate = Rate(RATE_PER_S, BURST)
        self.run: Run | None = None
        self.slow_rate = Rate(RATE_PER_S, SLOW_BURST)
        self.slow_ns = self.record_ns = -1
        self.touched_ns = now_ns
        self._slowest: list[tuple[int, int, Kept]] = []
        self._before: list[tuple[int, int, Kept]] = []
        self._began_ns = now_ns

    def add_slow(self, kept: Kept, now_ns: int) -> None:
        """Take `kept` in if it is among the slowest; begin a new window if this one is over."""
        if now_ns - self._began_ns >= WINDOW_NS:
            fresh = now_ns - self._began_ns < 2 * WINDOW_NS
            self._before = self._slowest if fresh else []
            self._slowest, self._began_ns, self.slow_ns, self.record_ns = [], now_ns, -1, -1
        if kept.total_ns <= self.slow_ns:
            return
        self.slow_rate.count(now_ns)
        self.record_ns = max(self.record_ns, int(kept.total_ns * RECORD_RATIO))
        entry = (kept.total_ns, kept.number, kept)
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, entry)
        else:
            heapq.heapreplace(self._slowest, entry)
        if len(self._slowest) == SLOWEST:
            self.slow_ns = self._slowest[0][0]

    def slowest(self, now_ns: int) -> list[Kept]:
        """Those of both windows that are no older than two windows, in no order."""
        both = self._slowest.copy() + self._before.copy()
        return [kept for _, _, kept in both if now_ns - kept.arrival_ns <= 2 * WINDOW_NS]


class RequestLog:
    """Everything that is remembered. `wants` runs for each answer, the rest for those that it wants."""

    def __init__(self, process: str = "") -> None:
        self._prefix = f"auto-{process}-" if process else "auto-"
        self._models: dict[str, OfModel] = {}
        self._total = Rate(TOTAL_RATE_PER_S, TOTAL_RATE_PER_S)
        self._errors = Rate(TOTAL_RATE_PER_S // 2, TOTAL_RATE_PER_S)
        self._number = 0
        self._full_until_ns = 0

    def wants(self, model: str, run: Run | None, latency_ns: int, now_ns: int) -> bool:
        """True if an answer that took `latency_ns` is to be handed to `keep`. It is due, slow, or its batch is kept."""
        of = self._models.get(model)
        if of is None:
            return now_ns >= self._full_until_ns
        if of.rate.due_ns <= now_ns or (run is not None and run is of.run):
            return True
        return latency_ns > of.slow_ns and (of.slow_rate.due_ns <= now_ns or latency_ns > of.record_ns)

    def wants_error(self, now_ns: int) -> bool:
        """True if an error is to be handed to `keep`: they are bounded for all models together."""
        return self._errors.due_ns <= now_ns

    def next_mark(self) -> Mark:
        """Number and name of the next one to be kept, or to be answered with an error."""
        self._number += 1
        return Mark(self._number, f"{self._prefix}{self._number}")

    def keep(self, kept: Kept, now_ns: int) -> None:
        """Remember a request that `wants` or `wants_error` asked for."""
        is_error = kept.status != 200
        if is_error:  # whether there is a place for it or not: looking for one takes time, too
            self._errors.count(now_ns)
        of = self._of(kept.model, now_ns)
        if of is None:
            return
        of.touched_ns = now_ns
        if is_error:
            of.errors.append(kept)
            return
        of.add_slow(kept, now_ns)
        is_companion = kept.run is not None and kept.run is of.run
        if not is_companion:
            if of.rate.due_ns > now_ns:
                return
            if self._total.due_ns > now_ns:
                of.rate.hold(now_ns + len(self._models) * NS_PER_S // TOTAL_RATE_PER_S)
                return
            of.run = kept.run
        of.rate.count(now_ns)
        self._total.count(now_ns)
        of.recent.append(kept)

    def recent(self, model: str | None = None) -> list[Kept]:
        """Sampled requests and errors of `model`, or of all, the newest first."""
        found = {kept.number: kept for of in self._chosen(model) for kept in (*of.recent.copy(), *of.errors.copy())}
        return [found[number] for number in sorted(found, reverse=True)]

    def slowest(self, now_ns: int, model: str | None = None) -> list[Kept]:
        """The slowest answered requests of the last minutes of `model`, or of all, the slowest first."""
        found = [kept for of in self._chosen(model) for kept in of.slowest(now_ns)]
        return sorted(found, key=lambda kept: (-kept.total_ns, kept.number))

    def everything(self, now_ns: int, model: str | None = None) -> list[Kept]:
        """All that is remembered of `model`, or of all, the newest first, each once."""
        found = {kept.number: kept for kept in (*self.recent(model), *self.slowest(now_ns, model))}
        return [found[number] for number in sorted(found, reverse=True)]

    def _chosen(self, model: str | None) -> Iterator[OfModel]:
        for name, of in self._models.copy().items():
            if model is None or name == model:
                yield of

    def _of(self, model: str, now_ns: int) -> OfModel | None:
        """Where `model` is remembered; with all places taken, the place of one that was silent for two windows."""
        of = self._models.get(model)
        if of is None:
            if len(self._models) >= MAX_MODELS:
                silent = min(self._models, key=lambda name: self._models[name].touched_ns)
                if now_ns - self._models[silent].touched_ns < 2 * WINDOW_NS:
                    self._full_until_ns = now_ns + NS_PER_S
                    return None
                del self._models[silent]
            of = self._models[model] = OfModel(now_ns)
        return of
