"""Operators' frozen parameters of each decision. Bounds are enforced where they are edited (models_admin)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.core.units import BYTES_PER_MIB, NS_PER_S

# Share of the host's memory that the cached answers of all models may take where no budget is set. Larger: more hits
# for models with many different requests; less for instances, whose own budget is what others leave.
CACHE_SHARE_OF_HOST = 0.125


class Placement(StrEnum):
    """How an instance is chosen for a batch."""

    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    LEAST_OUTSTANDING = "least_outstanding"
    LEAST_RESPONSE_TIME = "least_response_time"
    POWER_OF_TWO_CHOICES = "power_of_two_choices"


class Oversize(StrEnum):
    """What happens to a request of more rows than one execution may hold."""

    SPLIT = "split"
    REFUSE = "refuse"


class Eviction(StrEnum):
    """Which kept answer goes first when a cache is full (docs/caching.md compares them on the same traces)."""

    LRU = "lru"
    S3_FIFO = "s3_fifo"
    SIEVE = "sieve"
    W_TINYLFU = "w_tinylfu"
    SAVED_PER_BYTE = "saved_per_byte"


class Objective(StrEnum):
    """What tuning of a model aims at."""

    LOWEST_COST = "lowest_cost"
    HIGHEST_THROUGHPUT = "highest_throughput"
    LOWEST_LATENCY = "lowest_latency"


class Knob(StrEnum):
    """What tuning may move. One at a time, by its mode."""

    PLACEMENT = "placement"
    INSTANCES = "instances"
    CACHE_SIZE = "cache_max_mib"
    CACHE_POLICY = "cache_eviction"
    BATCH_ROWS = "max_batch_rows"
    QUEUE_DELAY = "max_queue_delay_ms"
    CONCURRENCY = "concurrency_limit"


class TuningMode(StrEnum):
    """What tuning does with a knob: nothing, propose a change to people, or try it and keep it if it helps."""

    OFF = "off"
    ADVISE = "advise"
    AUTOMATIC = "automatic"


@dataclass(frozen=True, slots=True)
class BatchingPolicy:
    """`max_rows` bounds an execution; `max_delay_ns` is the longest wait of a batch's first request for company.

    `preferred_rows` are sizes at which a batch that may still wait goes at once; `padded_rows` the only sizes that are
    executed (rows are added and their outputs dropped); both ascending, empty for none.
    """

    max_rows: int = 32
    max_delay_ns: int = 0
    preferred_rows: tuple[int, ...] = ()
    padded_rows: tuple[int, ...] = ()
    oversize: Oversize = Oversize.SPLIT


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """`max_requests` waiting; timeouts become deadlines once, at the edge; a client may only shorten.

    Priority 1 goes first, `priority_levels` last; a request that names none has `default_priority`, one that names a
    lower one than there is has the lowest. Each `ageing_ns` of waiting raises a request by one level (0: never).
    `max_requests_per_priority` bounds each level by itself (0: only `max_requests`). `fair_share`: within a level, keys
    with waiting requests are served in proportion to their weights. `contended_rows`: most rows of an execution while a
    key that sends little stands beside one that sends more than can be run (0: as many as ever).
    """

    max_requests: int = 1_000
    max_requests_per_priority: int = 0
    priority_levels: int = 3
    default_priority: int = 2
    ageing_ns: int = 1 * NS_PER_S
    fair_share: bool = True
    contended_rows: int = 0
    default_timeout_ns: int = 30 * NS_PER_S
    max_timeout_ns: int = 120 * NS_PER_S


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """`adaptive_limit`: bound the requests in the lane by the measured gradient of service time (Netflix Gradient2).

    `concurrency_limit` bounds them by a fixed number (0: only the queue's bound holds).
    """

    adaptive_limit: bool = False
    concurrency_limit: int = 0
    min_limit: int = 20
    max_limit: int = 1_000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Requests whose instance was lost are executed once more while retries stay below this share of the requests."""

    budget_ratio: float = 0.1


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """Bounds and targets of the instance count decision.

    `target_queue_wait_ns` is what the demand signal (Erlang-C) sizes for. `zero_after_ns` without a request the model
    is taken to no instance at all (0: never; `min_instances` counts while it is awake); a request then wakes it and
    waits at most `wake_timeout_ns`.
    """

    enabled: bool = True
    min_instances: int = 1
    max_instances: int = 2
    target_utilisation_ratio: float = 0.7
    scale_down_delay_ns: int = 60 * NS_PER_S
    target_queue_wait_ns: int = NS_PER_S // 20
    zero_after_ns: int = 0
    wake_timeout_ns: int = 30 * NS_PER_S


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """`ttl_ns` 0 means entries do not age.

    `is_shared`: one tenant's answers are given to all; else each tenant meets only what it asked itself (C3).
    `keeps_nan`: answers that hold NaN are kept, too. `second_level`: look into and fill the shared Redis, where the
    server has one.
    """

    enabled: bool = True
    max_bytes: int = 64 * BYTES_PER_MIB
    ttl_ns: int = 0
    eviction: Eviction = Eviction.S3_FIFO
    is_shared: bool = False
    keeps_nan: bool = False
    second_level: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionPolicy:
    """Limits of the instance processes. `timeout_ns` is the watchdog's budget for one execution.

    `threads` 0: chosen from the cores and the number of instances. `device`: `auto`, `cpu`, `cuda` or `cuda:N`.
    `batch_rows`: sizes of batches to expect, ascending; instances are warm for them (derived from the batching policy).
    """

    timeout_ns: int = 10 * NS_PER_S
    load_timeout_ns: int = 120 * NS_PER_S
    threads: int = 1
    memory_limit_bytes: int = 4_096 * BYTES_PER_MIB
    device: str = "auto"
    batch_rows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """Everything an operator may set for one model."""

    placement: Placement = Placement.LEAST_OUTSTANDING
    batching: BatchingPolicy = field(default_factory=BatchingPolicy)
    queue: QueuePolicy = field(default_factory=QueuePolicy)
    admission: AdmissionPolicy = field(default_factory=AdmissionPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    scaling: ScalingPolicy = field(default_factory=ScalingPolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)
    execution: ExecutionPolicy = field(default_factory=ExecutionPolicy)
