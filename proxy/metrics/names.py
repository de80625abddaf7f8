"""Every metric that the exposition can carry: name, kind, help, labels. Documents and tests read this table.

Rules: base units in the names (`_seconds`, `_bytes`, `_ratio`), `_total` on counters; labels come from the registry
and from enums only, never from what a client sent.
Source: prometheus.io/docs/practices/naming; Triton's metrics.md for the `nv_` names, which keep its units.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A metric's type line."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricName:
    """One row of the table."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


_M = ("model",)
_V = ("model", "version")
_G = ("gpu",)
_U = ("gpu_uuid",)


def _counter(name: str, text: str, labels: tuple[str, ...] = _M) -> MetricName:
    return MetricName(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, labels: tuple[str, ...] = _M) -> MetricName:
    return MetricName(name, Kind.GAUGE, text, labels)


REQUESTS = _counter(
    "dlproxy_requests_total",
    "Requests by outcome: ok, or the reason why not. Model is empty where no registered one was named.",
    ("model", "outcome"),
)
REQUEST_DURATION = MetricName(
    "dlproxy_request_duration_seconds", Kind.HISTOGRAM, "Arrival to answer of requests answered with 200.", _M
)
QUEUE_SECONDS = _counter("dlproxy_queue_seconds_total", "Time that answered requests spent waiting, summed.")
COMPUTE_SECONDS = _counter("dlproxy_compute_seconds_total", "Time that answered requests' executions took, summed.")
INFERENCES = _counter("dlproxy_inferences_total", "Rows executed.", _V)
EXECUTIONS = _counter("dlproxy_executions_total", "Executions that gave outputs.", _V)
EXECUTION_SECONDS = _counter("dlproxy_execution_seconds_total", "Time of executions, sent to received, summed.", _V)
BATCH_ROWS = MetricName("dlproxy_batch_rows", Kind.HISTOGRAM, "Rows of each execution.", _V)
CACHE_LOOKUPS = _counter("dlproxy_cache_lookups_total", "Cache look-ups by result: hit or miss.", ("model", "result"))
COALESCED = _counter("dlproxy_coalesced_requests_total", "Answered by an identical request's execution.")
CACHE_BYTES = _gauge("dlproxy_cache_bytes", "Memory held by cached answers.")
CACHE_MAX_BYTES = _gauge("dlproxy_cache_max_bytes", "Memory that cached answers may take.")
CACHE_ENTRIES = _gauge("dlproxy_cache_entries", "Cached answers.")
CACHE_INSERTIONS = _counter("dlproxy_cache_insertions_total", "Answers that were kept.")
CACHE_EVICTIONS = _counter("dlproxy_cache_evictions_total", "Answers that left to make room.")
CACHE_EXPIRATIONS = _counter("dlproxy_cache_expirations_total", "Answers that left since they were too old.")
CACHE_REFUSED = _counter("dlproxy_cache_refused_total", "Answers not kept: larger than the bound, or with NaN.")
CACHE_SAVED_SECONDS = _counter("dlproxy_cache_saved_seconds_total", "Model time that hits saved, summed.")
CACHE_STATE = _gauge("dlproxy_cache_state", "1 at the cache's state: on, off, bypassed or probing.", ("model", "state"))
SECOND_LEVEL_LOOKUPS = _counter(
    "dlproxy_cache_second_level_lookups_total",
    "Look-ups in the shared cache by result: hit, miss, error or corrupt.",
    ("model", "result"),
)
SECOND_LEVEL_WRITES = _counter("dlproxy_cache_second_level_writes_total", "Answers written to the shared cache.")
SECOND_LEVEL_STATE = _gauge(
    "dlproxy_cache_second_level_state", "1 at the breaker's state: closed, open or half_open.", ("state",)
)
QUEUE_DEPTH = _gauge("dlproxy_queue_depth", "Requests waiting now.")
IN_FLIGHT = _gauge("dlproxy_in_flight_requests", "Requests running now.")
INSTANCES = _gauge("dlproxy_ready_instances", "Instances that can take an execution.")
BUSY = _gauge("dlproxy_busy_ratio", "Busy share of the ready instances over the last second.")
RESTARTS = _counter("dlproxy_instance_restarts_total", "Instances replaced since the version was loaded.", _V)
OWN_FAULTS = _counter(
    "dlproxy_own_faults_total",
    "Faults of the server's own code, by what was being done; the log has the trace.",
    ("place",),
)
GENERATION = _gauge("dlproxy_configuration_generation", "Number of the configuration in force.", ())
CPU = _gauge("dlproxy_cpu_busy_ratio", "Busy share of all cores.", ())
MEMORY_USED = _gauge("dlproxy_memory_used_bytes", "Memory of the host in use.", ())
MEMORY_TOTAL = _gauge("dlproxy_memory_total_bytes", "Memory of the host.", ())
GPU_BUSY = _gauge("dlproxy_gpu_busy_ratio", "Busy share of the GPU as NVML reports it.", _G)
GPU_MEMORY_USED = _gauge("dlproxy_gpu_memory_used_bytes", "Memory of the GPU in use.", _G)
GPU_MEMORY_TOTAL = _gauge("dlproxy_gpu_memory_total_bytes", "Memory of the GPU.", _G)
GPU_TEMPERATURE = _gauge("dlproxy_gpu_temperature_celsius", "Temperature of the GPU.", _G)
GPU_POWER = _gauge("dlproxy_gpu_power_watts", "Power that the GPU draws.", _G)

NV_SUCCESS = _counter("nv_inference_request_success", "As Triton: requests answered with 200.", _V)
NV_FAILURE = _counter(
    "nv_inference_request_failure", "As Triton: requests that failed, by reason.", ("model", "version", "reason")
)
NV_COUNT = _counter("nv_inference_count", "As Triton: rows executed.", _V)
NV_EXEC_COUNT = _counter("nv_inference_exec_count", "As Triton: executions.", _V)
NV_PENDING = _gauge("nv_inference_pending_request_count", "As Triton: requests waiting for execution.", _V)
NV_REQUEST_US = _counter(
    "nv_inference_request_duration_us", "As Triton: time of successful requests, microseconds.", _V
)
NV_QUEUE_US = _counter("nv_inference_queue_duration_us", "As Triton: time spent waiting, microseconds.", _V)
NV_INPUT_US = _counter("nv_inference_compute_input_duration_us", "As Triton: time of the inputs' way in.", _V)
NV_INFER_US = _counter("nv_inference_compute_infer_duration_us", "As Triton: time of executions, microseconds.", _V)
NV_OUTPUT_US = _counter("nv_inference_compute_output_duration_us", "As Triton: time of the outputs' way out.", _V)
NV_CACHE_HITS = _counter("nv_cache_num_hits_per_model", "As Triton: cache hits.", _V)
NV_CACHE_MISSES = _counter("nv_cache_num_misses_per_model", "As Triton: cache misses.", _V)
NV_CACHE_HIT_US = _counter("nv_cache_hit_duration_per_model", "As Triton: time of look-ups that hit, us.", _V)
NV_CACHE_MISS_US = _counter("nv_cache_miss_duration_per_model", "As Triton: time of look-ups that missed, us.", _V)
NV_CPU = _gauge("nv_cpu_utilization", "As Triton: busy share of all cores, 0 to 1.", ())
NV_CPU_MEMORY_TOTAL = _gauge("nv_cpu_memory_total_bytes", "As Triton: memory of the host.", ())
NV_CPU_MEMORY_USED = _gauge("nv_cpu_memory_used_bytes", "As Triton: memory of the host in use.", ())
NV_GPU = _gauge("nv_gpu_utilization", "As Triton: busy share of the GPU, 0 to 1.", _U)
NV_GPU_MEMORY_TOTAL = _gauge("nv_gpu_memory_total_bytes", "As Triton: memory of the GPU.", _U)
NV_GPU_MEMORY_USED = _gauge("nv_gpu_memory_used_bytes", "As Triton: memory of the GPU in use.", _U)
NV_GPU_POWER = _gauge("nv_gpu_power_usage", "As Triton: power that the GPU draws, watts.", _U)

NAMES: tuple[MetricName, ...] = tuple(value for value in list(globals().values()) if isinstance(value, MetricName))

# Upper bounds of the duration histogram, seconds. Finer than Prometheus' default below 5 ms, where small models live.
DURATION_BOUNDS_S = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
# Upper bounds of the batch histogram, rows: powers of two up to the largest that a policy allows.
ROWS_BOUNDS = tuple(1 << exponent for exponent in range(13))
