"""Operators' frozen parameters of each decision. Bounds are enforced where they are edited (models_admin)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from proxy.core.units import BYTES_PER_MIB, NS_PER_S


class Placement(StrEnum):
    """How an instance is chosen for a batch."""

    ROUND_ROBIN = "round_robin"
    LEAST_OUTSTANDING = "least_outstanding"
    LEAST_RESPONSE_TIME = "least_response_time"


@dataclass(frozen=True, slots=True)
class BatchingPolicy:
    """`max_rows` bounds an execution; `max_delay_ns` is the longest wait of a batch's first request for company."""

    max_rows: int = 32
    max_delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """`max_requests` waiting; timeouts become deadlines once, at the edge; a client may only shorten."""

    max_requests: int = 1_000
    default_timeout_ns: int = 30 * NS_PER_S
    max_timeout_ns: int = 120 * NS_PER_S


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """Bounds and targets of the instance count decision."""

    enabled: bool = True
    min_instances: int = 1
    max_instances: int = 2
    target_utilisation_ratio: float = 0.7
    scale_down_delay_ns: int = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """`ttl_ns` 0 means entries do not age."""

    enabled: bool = True
    max_bytes: int = 64 * BYTES_PER_MIB
    ttl_ns: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionPolicy:
    """Limits of the instance processes. `timeout_ns` is the watchdog's budget for one execution."""

    timeout_ns: int = 10 * NS_PER_S
    load_timeout_ns: int = 120 * NS_PER_S
    threads: int = 1
    memory_limit_bytes: int = 4_096 * BYTES_PER_MIB


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """Everything an operator may set for one model."""

    placement: Placement = Placement.LEAST_OUTSTANDING
    batching: BatchingPolicy = field(default_factory=BatchingPolicy)
    queue: QueuePolicy = field(default_factory=QueuePolicy)
    scaling: ScalingPolicy = field(default_factory=ScalingPolicy)
    cache: CachePolicy = field(default_factory=CachePolicy)
    execution: ExecutionPolicy = field(default_factory=ExecutionPolicy)
