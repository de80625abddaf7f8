"""Counts answers and executions as they happen, closes a window each second, and writes the exposition.

Place: called by the pipeline for each answer, by the scheduler for each execution, by the runtime each second.
Rules: counting never fails a request; labels come from the registry, and there is a wall should that ever be broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeVar

from proxy.core.errors import Reason
from proxy.core.reports import InstanceReport, MachineReport, ModelSecond, SecondReport, VersionReport
from proxy.core.totals import VersionTotals
from proxy.core.units import NS_PER_S
from proxy.metrics.exposition import write
from proxy.metrics.histogram import index
from proxy.metrics.window import Counts, ExecutionCounts, Gauges, ModelWindow, summarise

# Models counted apart; more are counted under the empty name. Larger: more series than a Prometheus server likes.
MAX_MODELS = 4_096
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
    """What is read of a cache's statistics (proxy.cache.cache.CacheStatistics)."""

    @property
    def bytes(self) -> int:
        """Memory held."""
        ...


class Metrics:
    """All counters of this process."""

    def __init__(self) -> None:
        self.versions: dict[str, VersionTotals] = {}  # by version key; read by the statistics extension
        self._answers: dict[str, Counts] = {}
        self._executions: dict[str, ExecutionCounts] = {}
        self._answer_totals: dict[str, Counts] = {}
        self._execution_totals: dict[str, ExecutionCounts] = {}
        self._busy_ns: dict[str, int] = {}
        self._last_unix_s: int | None = None

    def on_answer(
        self,
        model: str,
        status: int,
        reason: Reason | None,
        latency_ns: int,
        queue_ns: int,
        compute_ns: int,
        cache: bool | None,
    ) -> None:
        """Count one answer. `model` is a registered name, or empty. Times count for status 200 only."""
        counts = self._answers.get(model)
        if counts is None:
            counts = self._counts_of(model)
        if cache is not None:
            if cache:
                counts.cache_hits += 1
            else:
                counts.cache_misses += 1
        if status == 200:
            counts.requests += 1
            counts.latency_ns += latency_ns
            counts.queue_ns += queue_ns
            counts.compute_ns += compute_ns
            bucket = index(latency_ns)
            latencies = counts.latencies
            latencies[bucket] = latencies.get(bucket, 0) + 1
        else:
            reason = reason or Reason.INTERNAL
            counts.reasons[reason] = counts.reasons.get(reason, 0) + 1

    def totals_of(self, version_key: str) -> VersionTotals:
        """Where a version's answers and look-ups are counted; one that is forgotten when there is no place for it."""
        totals = self.versions.get(version_key)
        if totals is None:
            totals = VersionTotals()
            if len(self.versions) < MAX_MODELS:
                self.versions[version_key] = totals
        return totals

    def on_execution(
        self, version_key: str, rows: int, requests: int, service_ns: int, input_ns: int = 0, output_ns: int = 0
    ) -> None:
        """Count one execution of `requests` requests, `rows` rows in all, that gave outputs."""
        self.totals_of(version_key).executed_batch(rows, requests, service_ns, input_ns, output_ns)
        counts = self._executions.get(version_key)
        if counts is None:
            if len(self._executions) >= MAX_MODELS:
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
        windows = self._close(known)
        self._read_lanes(lanes, windows)
        for name, statistics in cache.items():
            windows[name].gauges.cache_bytes = statistics.bytes
        total = ModelWindow()
        for window in windows.values():
            total.add(window)
        models: dict[str, ModelSecond] = {
            name: summarise(window, window_ns) for name, window in windows.items() if name
        }
        return SecondReport(
            sequence=sequence,
            at_unix_s=at_unix_s,
            generation=generation,
            total=summarise(total, window_ns),
            models=models,
            versions=versions,
            instances=tuple(instances),
            machine=machine,
        )

    def exposition(self, report: SecondReport | None) -> bytes:
        """Prometheus text: totals as of now, gauges as of `report`."""
        answers = {name: _sum(Counts, self._answer_totals.get(name), self._answers.get(name)) for name in self._names()}
        keys = self._execution_totals.keys() | self._executions.keys()
        executions = {
            key: _sum(ExecutionCounts, self._execution_totals.get(key), self._executions.get(key)) for key in keys
        }
        return write(answers, executions, report)

    def _names(self) -> set[str]:
        return self._answer_totals.keys() | self._answers.keys()

    def _counts_of(self, model: str) -> Counts:
        if len(self._answers) >= MAX_MODELS:
            model = ""
        return self._answers.setdefault(model, Counts())

    def _window_ns(self, at_unix_s: int) -> int:
        last_s, self._last_unix_s = self._last_unix_s, at_unix_s
        elapsed_s = 1 if last_s is None else at_unix_s - last_s
        return min(max(elapsed_s, 1), MAX_WINDOW_S) * NS_PER_S

    def _close(self, known: set[str]) -> dict[str, ModelWindow]:
        """Begin new windows; move what was counted into the totals; forget models that are gone and silent."""
        answers, self._answers = self._answers, {}
        executions, self._executions = self._executions, {}
        windows = {name: ModelWindow() for name in known}
        for name, counts in answers.items():
            windows.setdefault(name, ModelWindow()).counts = counts
            self._answer_totals.setdefault(name, Counts()).add(counts)
        for key, executed in executions.items():
            windows.setdefault(_model_of(key), ModelWindow()).executed.add(executed)
            self._execution_totals.setdefault(key, ExecutionCounts()).add(executed)
        for name in [name for name in self._answer_totals if name and name not in windows]:
            del self._answer_totals[name]
        for key in [key for key in self._execution_totals if _model_of(key) not in windows]:
            del self._execution_totals[key]
        for key in [key for key in self.versions if _model_of(key) not in windows]:
            del self.versions[key]
        return windows

    def _read_lanes(self, lanes: Mapping[str, LaneView], windows: Mapping[str, ModelWindow]) -> None:
        busy_before, self._busy_ns = self._busy_ns, {key: lane.busy_ns for key, lane in lanes.items()}
        for key, lane in lanes.items():
            before_ns = busy_before.get(key, 0)
            busy_ns = lane.busy_ns - before_ns if lane.busy_ns >= before_ns else lane.busy_ns
            windows[_model_of(key)].gauges.add(Gauges(lane.queue_depth, lane.in_flight, lane.ready, busy_ns))


def _model_of(version_key: str) -> str:
    return version_key.rpartition("/")[0]


def _sum(kind: type[T], *parts: T | None) -> T:
    result = kind()
    for part in parts:
        if part is not None:
            result.add(part)
    return result
