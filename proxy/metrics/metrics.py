"""Counts answers and executions as they happen, closes a window each second, and writes the exposition.

Place: called by the pipeline for each answer, by the scheduler for each execution, by the runtime each second.
Rules: counting never fails a request; labels come from the registry, and there is a wall should that ever be broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from proxy.core.errors import Reason
from proxy.core.own_faults import OwnFaults
from proxy.core.reports import InstanceReport, MachineReport, SecondReport, VersionReport
from proxy.core.totals import VersionTotals
from proxy.core.units import NS_PER_S
from proxy.metrics.exposition import write
from proxy.metrics.fault_lines import FaultLines
from proxy.metrics.histogram import index
from proxy.metrics.requests import RequestLog
from proxy.metrics.window import Counts, ExecutionCounts, Gauges, ModelWindow, summarise

# Versions counted apart; more are counted under the empty name. Larger: more series than a Prometheus server likes.
MAX_SERIES = 4_096
# Longest window a busy share is read over, seconds; a larger gap is the wall clock's jump, not a window.
MAX_WINDOW_S = 10

T = TypeVar("T", Counts, ExecutionCounts)


class LaneView(Protocol):
    """What is read of a lane's statistics (proxy.scheduler.statistics.LaneStatistics)."""

    @property
    def queue_depth(self) -> int:
        """Requests waiting."""
        ...

    @property
    def in_flight(self) -> int:
        """Requests running."""
        ...

    @property
    def ready(self) -> int:
        """Ready instances."""
        ...

    @property
    def busy_ns(self) -> int:
        """Busy time of all instances since the lane was opened."""
        ...


class CacheView(Protocol):
    """What is read of a cache's statistics (proxy.core.reports.CacheReport)."""

    @property
    def bytes(self) -> int:
        """Memory held."""
        ...


class Metrics:
    """All counters of this process."""

    def __init__(self, process: str = "") -> None:
        """`process` tells the names that requests get here from those of another process."""
        self.versions: dict[str, VersionTotals] = {}  # by version key; read by the statistics extension
        self.requests = RequestLog(process)
        self.fault_lines = FaultLines()
        self.own_faults = OwnFaults()
        self._answers: dict[str, Counts] = {}
        self._executions: dict[str, ExecutionCounts] = {}
        self._answer_totals: dict[str, Counts] = {}
        self._execution_totals: dict[str, ExecutionCounts] = {}
        self._busy_ns: dict[str, int] = {}
        self._last_unix_s: int | None = None

    def on_answer(
        self,
        key: str,
        status: int,
        reason: Reason | None,
        latency_ns: int,
        queue_ns: int,
        compute_ns: int,
        cache: bool | None,
        coalesced: bool = False,
    ) -> None:
        """Count one answer. `key` is a version's, or a registered model's where no version was chosen, or empty.

        `cache`: a hit or a miss; None: neither, as for one that is `coalesced`: answered by an identical request's
        execution. Times count for status 200 only, which a version's answers alone have: its totals count them, too.
        """
        counts = self._answers.get(key)
        if counts is None:
            counts = self._counts_of(key)
        if cache is not None:
            if cache:
                counts.cache_hits += 1
            else:
                counts.cache_misses += 1
        elif coalesced:
            counts.coalesced += 1
        if status == 200:
            counts.requests += 1
            counts.latency_ns += latency_ns
            counts.queue_ns += queue_ns
            counts.compute_ns += compute_ns
            bucket = index(latency_ns)
            latencies = counts.latencies
            latencies[bucket] = latencies.get(bucket, 0) + 1
            totals = self.versions.get(key) or self.totals_of(key)
            totals.success += 1
            totals.success_ns += latency_ns
            totals.queue_ns += queue_ns
        else:
            reason = reason or Reason.INTERNAL
            counts.reasons[reason] = counts.reasons.get(reason, 0) + 1

    def totals_of(self, version_key: str) -> VersionTotals:
        """Where a version's answers and look-ups are counted; one that is forgotten when there is no place for it."""
        totals = self.versions.get(version_key)
        if totals is None:
            totals = VersionTotals()
            if len(self.versions) < MAX_SERIES:
                self.versions[version_key] = totals
        return totals

    def on_execution(
        self, version_key: str, rows: int, requests: int, service_ns: int, input_ns: int = 0, output_ns: int = 0
    ) -> None:
        """Count one execution of `requests` requests, `rows` rows in all, that gave outputs."""
        self.totals_of(version_key).executed_batch(rows, requests, service_ns, input_ns, output_ns)
        counts = self._executions.get(version_key)
        if counts is None:
            if len(self._executions) >= MAX_SERIES:
                return
            counts = self._executions[version_key] = ExecutionCounts()
        counts.executions += 1
        counts.inferences += rows
        counts.service_ns += service_ns
        bits = (rows - 1).bit_length() if rows > 0 else 0
        counts.rows_by_bits[bits] = counts.rows_by_bits.get(bits, 0) + 1

    def second(
        self,
        at_unix_s: int,
        sequence: int,
        generation: int,
        lanes: Mapping[str, LaneView],
        cache: Mapping[str, CacheView],
        versions: Iterable[VersionReport],
        instances: Iterable[InstanceReport],
        machine: MachineReport,
    ) -> SecondReport:
        """Close the window that ends now, and say what was in it."""
        versions = tuple(versions)
        known = {report.model for report in versions} | set(cache) | {_model_of(key) for key in lanes}
        window_ns = self._window_ns(at_unix_s)
        for key in self._executions:
            self.totals_of(key).last_inference_unix_s = at_unix_s
        by_key = self._close(known)
        self._read_lanes(lanes, by_key)
        windows: dict[str, ModelWindow] = {name: ModelWindow() for name in known}
        total = ModelWindow()
        for key, window in by_key.items():
            windows.setdefault(_model_of(key), ModelWindow()).add(window)
        for name, statistics in cache.items():
            windows[name].gauges.cache_bytes = statistics.bytes
        for window in windows.values():
            total.add(window)
        return SecondReport(
            sequence=sequence,
            at_unix_s=at_unix_s,
            generation=generation,
            total=summarise(total, window_ns),
            models={name: summarise(window, window_ns) for name, window in windows.items() if name},
            versions=versions,
            instances=tuple(instances),
            machine=machine,
            by_version={key: summarise(window, window_ns) for key, window in by_key.items() if "/" in key},
        )

    def exposition(self, report: SecondReport | None) -> bytes:
        """Prometheus text: totals as of now, gauges as of `report`."""
        answers: dict[str, Counts] = {}
        by_version: dict[str, Counts] = {}
        for key in self._answer_totals.keys() | self._answers.keys():
            counts = by_version[key] = _sum(Counts, self._answer_totals.get(key), self._answers.get(key))
            answers.setdefault(_model_of(key), Counts()).add(counts)
        keys = self._execution_totals.keys() | self._executions.keys()
        executions = {
            key: _sum(ExecutionCounts, self._execution_totals.get(key), self._executions.get(key)) for key in keys
        }
        return write(answers, by_version, executions, self.versions, report, self.own_faults.counts)

    def _counts_of(self, key: str) -> Counts:
        if len(self._answers) >= MAX_SERIES:
            key = ""
        return self._answers.setdefault(key, Counts())

    def _window_ns(self, at_unix_s: int) -> int:
        last_s, self._last_unix_s = self._last_unix_s, at_unix_s
        elapsed_s = 1 if last_s is None else at_unix_s - last_s
        return min(max(elapsed_s, 1), MAX_WINDOW_S) * NS_PER_S

    def _close(self, known: set[str]) -> dict[str, ModelWindow]:
        """Begin new windows by key; move what was counted into the totals; forget models that are gone and silent."""
        answers, self._answers = self._answers, {}
        executions, self._executions = self._executions, {}
        windows: dict[str, ModelWindow] = {}
        for key, counts in answers.items():
            windows.setdefault(key, ModelWindow()).counts = counts
            self._answer_totals.setdefault(key, Counts()).add(counts)
        for key, executed in executions.items():
            windows.setdefault(key, ModelWindow()).executed = executed
            self._execution_totals.setdefault(key, ExecutionCounts()).add(executed)
        kept = known | {_model_of(key) for key in windows} | {""}
        for totals in (self._answer_totals, self._execution_totals, self.versions):
            for key in [key for key in totals if _model_of(key) not in kept]:
                del totals[key]
        return windows

    def _read_lanes(self, lanes: Mapping[str, LaneView], windows: dict[str, ModelWindow]) -> None:
        busy_before, self._busy_ns = self._busy_ns, {key: lane.busy_ns for key, lane in lanes.items()}
        for key, lane in lanes.items():
            before_ns = busy_before.get(key, 0)
            busy_ns = lane.busy_ns - before_ns if lane.busy_ns >= before_ns else lane.busy_ns
            window = windows.setdefault(key, ModelWindow())
            window.gauges = Gauges(lane.queue_depth, lane.in_flight, lane.ready, busy_ns)


def _model_of(key: str) -> str:
    """The model of a version's key, or the model itself where no version was chosen (names hold no slash)."""
    return key.partition("/")[0]


def _sum(kind: type[T], *parts: T | None) -> T:
    result = kind()
    for part in parts:
        if part is not None:
            result.add(part)
    return result
