"""Writes counters and gauges as Prometheus text (version 0.0.4). Pure.

Rules: one HELP and TYPE line a metric, samples of a metric together, every label escaped; a metric without samples is
left out. The log-linear histogram is folded into fixed bounds by each bucket's upper end, so a `le` may miss values up
to 3 % below it, and never counts one above it.
Source: prometheus.io/docs/instrumenting/exposition_formats.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from proxy.core.errors import Reason
from proxy.core.reports import BREAKER_STATES, CACHE_STATES, CacheReport, MachineReport, ModelSecond, SecondReport
from proxy.core.totals import VersionTotals
from proxy.core.units import NS_PER_S, NS_PER_US
from proxy.metrics import names
from proxy.metrics.histogram import upper_ns
from proxy.metrics.names import MetricName
from proxy.metrics.window import REJECTIONS, Counts, ExecutionCounts

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]
MS_PER_S = 1_000
# Triton's reasons: REJECTED, CANCELED, BACKEND, OTHER.
_TRITON_REASONS = {
    **dict.fromkeys((*REJECTIONS, Reason.REPEAT_OFFENDER, Reason.QUOTA), "REJECTED"),
    Reason.CANCELLED: "CANCELED",
    **dict.fromkeys((Reason.MODEL_ERROR, Reason.INSTANCE_LOST, Reason.EXECUTION_TIMEOUT), "BACKEND"),
}


class _Text:
    """Collects samples by metric, in the order of the metrics' first mention."""

    def __init__(self) -> None:
        self._samples: dict[MetricName, list[str]] = {}

    def add(self, metric: MetricName, labels: Labels, value: float | None) -> None:
        """One sample; None (unknown) writes nothing."""
        if value is not None:
            self._lines(metric).append(f"{metric.name}{_labels(metric.labels, labels)} {_number(value)}")

    def add_histogram(
        self,
        metric: MetricName,
        labels: Labels,
        bounds: Sequence[float],
        counts: Iterable[tuple[float, int]],
        total: float,
    ) -> None:
        """Buckets, sum and count. `counts` are (value, how many), `total` the sum of all values."""
        lines = self._lines(metric)
        within = [0] * (len(bounds) + 1)
        for value, count in counts:
            within[next((i for i, bound in enumerate(bounds) if value <= bound), len(bounds))] += count
        seen = 0
        for bound, count in zip((*bounds, float("inf")), within, strict=True):
            seen += count
            le = "+Inf" if bound == float("inf") else _number(bound)
            lines.append(f"{metric.name}_bucket{_labels((*metric.labels, 'le'), (*labels, le))} {seen}")
        lines.append(f"{metric.name}_sum{_labels(metric.labels, labels)} {_number(total)}")
        lines.append(f"{metric.name}_count{_labels(metric.labels, labels)} {seen}")

    def encode(self) -> bytes:
        """The whole text."""
        parts = []
        for metric, lines in self._samples.items():
            parts.append(f"# HELP {metric.name} {metric.help}")
            parts.append(f"# TYPE {metric.name} {metric.kind.value}")
            parts.extend(lines)
        return ("\n".join(parts) + "\n").encode()

    def _lines(self, metric: MetricName) -> list[str]:
        return self._samples.setdefault(metric, [])


def write(
    answers: Mapping[str, Counts],
    by_version: Mapping[str, Counts],
    executions: Mapping[str, ExecutionCounts],
    totals: Mapping[str, VersionTotals],
    report: SecondReport | None,
    own_faults: Mapping[str, int],
) -> bytes:
    """The exposition: totals by model and by version key, gauges of the last second (none before the first)."""
    text = _Text()
    for model, counts in sorted(answers.items()):
        _write_answers(text, model, counts)
    for key, executed in sorted(executions.items()):
        _write_executions(text, _version_labels(key), executed)
    if report is not None:
        for model, second in sorted(report.models.items()):
            _write_gauges(text, (model,), second)
        _write_caches(text, report.caches)
        for version in report.versions:
            text.add(names.RESTARTS, (version.model, str(version.version)), version.restarts)
        _write_host(text, report)
    for place, count in sorted(own_faults.items()):
        text.add(names.OWN_FAULTS, (str(place),), count)
    _write_triton(text, by_version, executions, totals, report)
    return text.encode()


def _version_labels(key: str) -> Labels:
    model, _, number = key.partition("/")
    return model, number


def _write_answers(text: _Text, model: str, counts: Counts) -> None:
    labels = (model,)
    text.add(names.REQUESTS, (model, "ok"), counts.requests)
    for reason, count in sorted(counts.reasons.items()):
        text.add(names.REQUESTS, (model, reason.value), count)
    if not model:
        return
    text.add_histogram(
        names.REQUEST_DURATION,
        labels,
        names.DURATION_BOUNDS_S,
        ((upper_ns(bucket) / NS_PER_S, count) for bucket, count in counts.latencies.items()),
        counts.latency_ns / NS_PER_S,
    )
    text.add(names.QUEUE_SECONDS, labels, counts.queue_ns / NS_PER_S)
    text.add(names.COMPUTE_SECONDS, labels, counts.compute_ns / NS_PER_S)
    text.add(names.CACHE_LOOKUPS, (model, "hit"), counts.cache_hits)
    text.add(names.CACHE_LOOKUPS, (model, "miss"), counts.cache_misses)
    text.add(names.COALESCED, labels, counts.coalesced)


def _write_triton(
    text: _Text,
    by_version: Mapping[str, Counts],
    executions: Mapping[str, ExecutionCounts],
    totals: Mapping[str, VersionTotals],
    report: SecondReport | None,
) -> None:
    """The same numbers under Triton's names and units, by version."""
    for key, counts in sorted(by_version.items()):
        if key:
            _write_triton_answers(text, _version_labels(key), counts)
    for key, executed in sorted(executions.items()):
        text.add(names.NV_COUNT, _version_labels(key), executed.inferences)
        text.add(names.NV_EXEC_COUNT, _version_labels(key), executed.executions)
    for key, sums in sorted(totals.items()):
        labels = _version_labels(key)
        text.add(names.NV_INPUT_US, labels, sums.input_ns // NS_PER_US)
        text.add(names.NV_INFER_US, labels, sums.infer_ns // NS_PER_US)
        text.add(names.NV_OUTPUT_US, labels, sums.output_ns // NS_PER_US)
        text.add(names.NV_CACHE_HIT_US, labels, sums.hits_ns // NS_PER_US)
        text.add(names.NV_CACHE_MISS_US, labels, sums.misses_ns // NS_PER_US)
    if report is not None:
        for key, second in sorted(report.by_version.items()):
            text.add(names.NV_PENDING, _version_labels(key), second.queue_depth)
        _write_triton_host(text, report.machine)


def _write_triton_answers(text: _Text, labels: Labels, counts: Counts) -> None:
    text.add(names.NV_SUCCESS, labels, counts.requests)
    failures: dict[str, int] = {}
    for reason, count in counts.reasons.items():
        triton = _TRITON_REASONS.get(reason, "OTHER")
        failures[triton] = failures.get(triton, 0) + count
    for triton, count in sorted(failures.items()):
        text.add(names.NV_FAILURE, (*labels, triton), count)
    text.add(names.NV_REQUEST_US, labels, counts.latency_ns // NS_PER_US)
    text.add(names.NV_QUEUE_US, labels, counts.queue_ns // NS_PER_US)
    text.add(names.NV_CACHE_HITS, labels, counts.cache_hits)
    text.add(names.NV_CACHE_MISSES, labels, counts.cache_misses)


def _write_triton_host(text: _Text, machine: MachineReport) -> None:
    text.add(names.NV_CPU, (), machine.cpu_percent / 100)
    text.add(names.NV_CPU_MEMORY_TOTAL, (), machine.memory_total_bytes)
    text.add(names.NV_CPU_MEMORY_USED, (), machine.memory_used_bytes)
    for gpu in machine.gpus:
        labels = (gpu.uuid or str(gpu.index),)
        busy_percent = gpu.utilisation_percent
        text.add(names.NV_GPU, labels, None if busy_percent is None else busy_percent / 100)
        text.add(names.NV_GPU_MEMORY_TOTAL, labels, gpu.memory_total_bytes)
        text.add(names.NV_GPU_MEMORY_USED, labels, gpu.memory_used_bytes)
        text.add(names.NV_GPU_POWER, labels, gpu.power_w)


def _write_executions(text: _Text, labels: Labels, executed: ExecutionCounts) -> None:
    text.add(names.INFERENCES, labels, executed.inferences)
    text.add(names.EXECUTIONS, labels, executed.executions)
    text.add(names.EXECUTION_SECONDS, labels, executed.service_ns / NS_PER_S)
    text.add_histogram(
        names.BATCH_ROWS,
        labels,
        names.ROWS_BOUNDS,
        ((1 << bits, count) for bits, count in executed.rows_by_bits.items()),
        executed.inferences,
    )


def _write_gauges(text: _Text, labels: Labels, second: ModelSecond) -> None:
    text.add(names.QUEUE_DEPTH, labels, second.queue_depth)
    text.add(names.IN_FLIGHT, labels, second.in_flight)
    text.add(names.INSTANCES, labels, second.instances)
    text.add(names.BUSY, labels, second.busy_ratio)
    text.add(names.CACHE_BYTES, labels, second.cache_bytes)


def _write_caches(text: _Text, caches: Mapping[str, CacheReport]) -> None:
    shared_state = None
    for model, cache in sorted(caches.items()):
        labels = (model,)
        text.add(names.CACHE_MAX_BYTES, labels, cache.max_bytes)
        text.add(names.CACHE_ENTRIES, labels, cache.entries)
        text.add(names.CACHE_INSERTIONS, labels, cache.insertions)
        text.add(names.CACHE_EVICTIONS, labels, cache.evictions)
        text.add(names.CACHE_EXPIRATIONS, labels, cache.expirations)
        text.add(names.CACHE_REFUSED, labels, cache.refused)
        text.add(names.CACHE_SAVED_SECONDS, labels, cache.saved_ms / MS_PER_S)
        _write_state(text, names.CACHE_STATE, labels, CACHE_STATES, cache.state)
        shared = cache.second_level
        if shared is not None:
            shared_state = shared.state
            results = (("hit", shared.hits), ("miss", shared.misses), ("error", shared.errors))
            for result, count in (*results, ("corrupt", shared.corrupt)):
                text.add(names.SECOND_LEVEL_LOOKUPS, (model, result), count)
            text.add(names.SECOND_LEVEL_WRITES, labels, shared.writes)
    if shared_state is not None:
        _write_state(text, names.SECOND_LEVEL_STATE, (), BREAKER_STATES, shared_state)


def _write_state(text: _Text, metric: MetricName, labels: Labels, states: Iterable[str], now: str) -> None:
    """1 at the state that is, 0 at the others."""
    for state in states:
        text.add(metric, (*labels, state), int(state == now))


def _write_host(text: _Text, report: SecondReport) -> None:
    machine = report.machine
    text.add(names.GENERATION, (), report.generation)
    text.add(names.CPU, (), machine.cpu_percent / 100)
    text.add(names.MEMORY_USED, (), machine.memory_used_bytes)
    text.add(names.MEMORY_TOTAL, (), machine.memory_total_bytes)
    for gpu in machine.gpus:
        labels = (str(gpu.index),)
        busy_percent = gpu.utilisation_percent
        text.add(names.GPU_BUSY, labels, None if busy_percent is None else busy_percent / 100)
        text.add(names.GPU_MEMORY_USED, labels, gpu.memory_used_bytes)
        text.add(names.GPU_MEMORY_TOTAL, labels, gpu.memory_total_bytes)
        text.add(names.GPU_TEMPERATURE, labels, gpu.temperature_c)
        text.add(names.GPU_POWER, labels, gpu.power_w)


def _labels(keys: Labels, values: Labels) -> str:
    if not keys:
        return ""
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in zip(keys, values, strict=True)) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(float(value))
