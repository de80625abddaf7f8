"""What the data plane says of itself once a second: measurements, instances, versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CACHE_STATES = ("on", "off", "bypassed", "probing")
"""What CacheReport.state may be."""
BREAKER_STATES = ("closed", "open", "half_open")
"""What SecondLevelReport.state may be."""


@dataclass(frozen=True, slots=True)
class ModelSecond:
    """One model (or all together) over one second. Percentiles are None where nothing was answered.

    `requests` counts 200s (cache hits included), `errors` faults and 4xx after authorisation, `rejections`
    refusals at admission and expiries. `histogram` is {bucket index: count} (proxy.metrics.histogram); `rows_by_bits`
    is {n: executions of more than 2^(n-1) and at most 2^n rows}. `coalesced` requests were answered by the execution of
    an identical one, so they are neither hits nor misses (proxy.core.hit_ratio).
    """

    requests: int = 0
    errors: int = 0
    rejections: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    coalesced: int = 0
    inferences: int = 0
    executions: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    queue_mean_ms: float | None = None
    queue_depth: int = 0
    in_flight: int = 0
    instances: int = 0
    busy_ratio: float = 0.0
    cache_bytes: int = 0
    compute_mean_ms: float | None = None
    histogram: Mapping[int, int] = field(default_factory=dict)
    rows_by_bits: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a cache of `size_bytes` would give under the requests seen lately: hit ratio, model time saved."""

    size_bytes: int
    hit_ratio: float
    saved_ms_per_s: float


@dataclass(frozen=True, slots=True)
class OrderEstimate:
    """What the present size would give under another eviction order (a value of Eviction), or under the present one."""

    eviction: str
    hit_ratio: float
    saved_ms_per_s: float


@dataclass(frozen=True, slots=True)
class SecondLevelReport:
    """The shared cache as one model meets it. Counts since the model's cache was configured; `state`: closed (in use),
    open (left alone after failures) or half_open (being tried); `message` says why.
    """

    hits: int = 0
    misses: int = 0
    errors: int = 0
    corrupt: int = 0
    writes: int = 0
    state: str = "closed"
    message: str = ""
    lookup_ewma_ms: float | None = None


@dataclass(frozen=True, slots=True)
class CacheReport:
    """One model's cache. Counts since it was configured. `state`: on, off, bypassed or probing; `message`: why.

    `saved_ms` is model time that hits saved, `saved_ms_per_s` that of late, a second; `lookup_us` and `insert_us` what
    the cache costs a request, `service_ms` what an answer from the model costs it. `curve` (ascending sizes, empty
    while too little is known) was sampled at `sample_ratio` of the keys. `coalesced` were looked up, not found, and
    waited for an identical request in flight; they are no `misses`. `orders`: what each eviction order would give at
    the present size (empty while too little is known). `message_parts`: what `message` is made of (proxy.core.words).
    """

    state: str
    bytes: int
    max_bytes: int
    entries: int
    eviction: str
    hits: int
    misses: int
    insertions: int
    evictions: int
    expirations: int
    refused: int = 0
    message: str = ""
    saved_ms_per_s: float = 0.0
    lookup_us: float | None = None
    insert_us: float | None = None
    service_ms: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    sample_ratio: float = 0.0
    second_level: SecondLevelReport | None = None
    saved_ms: float = 0.0
    coalesced: int = 0
    orders: tuple[OrderEstimate, ...] = ()
    message_parts: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class InstanceReport:
    """One instance process. `state` is one of proxy.instances.state.InstanceState's values.

    `memory_bytes` counts pages that processes share (libraries, tensor areas) in parts, so that the sum over instances
    is what they cost together; read every few seconds. `load_time_ns`: from start to ready (0: not ready yet).
    """

    instance_id: str
    model: str
    version: int
    pid: int | None
    state: str
    device: str
    uptime_s: float
    memory_bytes: int
    executions: int
    service_ewma_ms: float | None
    message: str = ""
    load_time_ns: int = 0
    threads: int = 0


@dataclass(frozen=True, slots=True)
class VersionReport:
    """One version that the data plane knows: `state` is one of proxy.model_manager.lifecycle.LoadState's values.

    `load_s` is what its newest first instance took from start to ready, all of it (None: not measured yet).
    """

    model: str
    version: int
    state: str
    is_default: bool
    instances_ready: int
    instances_wanted: int
    restarts: int
    message: str = ""
    sandbox: Mapping[str, str] = field(default_factory=dict)
    load_s: float | None = None


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """What a shadow's answers were compared with the default's, since the rollout began in this process.

    `differing` of `compared` lay beyond the tolerance, `failed` had no answer of the candidate; `largest_difference`
    and `mean_difference` are of |difference| / (1 + |expected|). `skipped` copies were not executed, so that no real
    request was held up. `differences` counts by size: equal, below 1e-8, one each power of ten, 1 and above. The
    histograms are {bucket index: count} of both versions' compute times (proxy.metrics.histogram).
    """

    model: str
    rollout_id: int
    candidate: int
    compared: int
    differing: int
    failed: int
    largest_difference: float
    mean_difference: float
    skipped: int = 0
    differences: tuple[int, ...] = ()
    default_histogram: Mapping[int, int] = field(default_factory=dict)
    candidate_histogram: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuReport:
    """One GPU as NVML reports it; None (of `uuid`: empty) where the driver does not say.

    `device` is what instances call it (`cuda:N`), empty where they cannot use it.
    """

    index: int
    name: str
    utilisation_percent: int | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    temperature_c: int | None
    power_w: float | None
    uuid: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class MachineReport:
    """The host. `gpu_note` says why `gpus` is empty when it is."""

    cpu_percent: float
    per_core_percent: tuple[float, ...]
    memory_used_bytes: int
    memory_total_bytes: int
    gpus: tuple[GpuReport, ...] = ()
    gpu_note: str = ""


@dataclass(frozen=True, slots=True)
class StoppedRollout:
    """A canary that the data plane sends nothing any more, and why; `parts`: what the words are made of."""

    model: str
    rollout_id: int
    words: str
    parts: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class SecondReport:
    """Everything over the second that ended at `at_unix_s`. `sequence` rises by one each second.

    `keys_used` are the ids of the API keys that opened a call in it. `by_version` has each version's share of its
    model's numbers, by version key; `shadows` one row for each shadow that runs; `wakes` the models that requests asked
    for while they had no instance; `caches` each model's cache; `stopped` the canaries that were stopped here.
    """

    sequence: int
    at_unix_s: int
    generation: int
    total: ModelSecond
    models: Mapping[str, ModelSecond]
    versions: tuple[VersionReport, ...]
    instances: tuple[InstanceReport, ...]
    machine: MachineReport
    keys_used: tuple[str, ...] = ()
    by_version: Mapping[str, ModelSecond] = field(default_factory=dict)
    shadows: tuple[ShadowReport, ...] = ()
    wakes: tuple[str, ...] = ()
    caches: Mapping[str, CacheReport] = field(default_factory=dict)
    stopped: tuple[StoppedRollout, ...] = ()
