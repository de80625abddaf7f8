"""The words and types in which the scheduler refuses or fails a request. Pure.

Rules: a message says which rule fired and how to mend it; never a path, a trace or another caller's doing.
"""

from __future__ import annotations

from proxy.core.batches import BatchFault
from proxy.core.errors import (
    Cancelled,
    DeadlineExceeded,
    ExecutionFailed,
    NotReady,
    ProxyError,
    QuotaExceeded,
    Reason,
    Rejected,
    TooLarge,
)
from proxy.core.hints import LONGEST_RETRY_NS
from proxy.core.policies import QueuePolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.admission import Bounds, Reject
from proxy.scheduler.isolation import Verdict

# Hints to return where nothing can be predicted: an instance takes about seconds to start. Larger: calmer, later.
START_RETRY_NS = 2 * NS_PER_S


def not_loaded(version: VersionSnapshot) -> ProxyError:
    """No lane is open for the version."""
    return NotReady(
        Reason.NOT_READY, f"Version {version.number} of model '{version.model}' is not loaded.", START_RETRY_NS
    )


def no_instance(version: VersionSnapshot) -> ProxyError:
    """The version's instances fail to start."""
    return NotReady(
        Reason.NOT_READY,
        f"Version {version.number} of model '{version.model}' has no working instance: its instances fail to start.",
        LONGEST_RETRY_NS,
    )


def rejected(reject: Reject, bounds: Bounds, version: VersionSnapshot, retry_after_ns: int) -> ProxyError:
    """Refused at admission."""
    if reject.level:
        message = (
            f"The queue of model '{version.model}' is full for this priority "
            f"({bounds.max_level_requests} requests wait). Retry later."
        )
    elif reject.reason is Reason.QUEUE_FULL:
        message = f"The queue of model '{version.model}' is full ({bounds.max_requests} requests wait). Retry later."
    elif reject.reason is Reason.CONCURRENCY_LIMIT:
        message = (
            f"Model '{version.model}' has as many requests as its concurrency limit allows now ({bounds.limit}). "
            "Retry later."
        )
    else:
        wait = f"{reject.retry_after_ns / NS_PER_MS:.0f} ms"
        message = (
            f"Model '{version.model}' would answer after the request's deadline (predicted wait {wait}). "
            "Retry later or allow a longer timeout."
        )
    return Rejected(reject.reason, message, retry_after_ns)


def displaced(version: VersionSnapshot, policy: QueuePolicy, retry_after_ns: int) -> ProxyError:
    """A request that waited gave its place to one of a higher priority, or of a key that has less of the queue."""
    message = (
        f"The queue of model '{version.model}' is full ({policy.max_requests} requests wait), and this key has more "
        "than its fair share of it, or its priority gives way to a higher one. The request was not run. Retry later."
    )
    return Rejected(Reason.FAIR_SHARE, message, retry_after_ns)


def oversize(version: VersionSnapshot, rows: int, max_rows: int) -> ProxyError:
    """More rows than one execution holds and the policy does not split, or more than may be split."""
    message = f"Model '{version.model}' takes at most {max_rows} rows a request, got {rows}. Send them in parts."
    return TooLarge(Reason.OVERSIZE, message)


def repeat_offender(version: VersionSnapshot, retry_after_ns: int) -> ProxyError:
    """The key's requests made executions fail that others shared, again and again."""
    message = (
        f"This key sent several requests that made model '{version.model}' fail for others, too. "
        "It is refused for a while; mend the inputs before you retry."
    )
    return QuotaExceeded(Reason.REPEAT_OFFENDER, message, retry_after_ns)


def killer(version: VersionSnapshot, retry_after_ns: int) -> ProxyError:
    """The same inputs ended two instances."""
    message = f"These inputs ended the process of model '{version.model}' twice. They are not run again for a while."
    return QuotaExceeded(Reason.REPEAT_OFFENDER, message, retry_after_ns)


def expired_on_arrival() -> ProxyError:
    """The deadline had passed before the request came."""
    return DeadlineExceeded(Reason.DEADLINE_EXCEEDED, "The deadline had passed before the request was queued.")


def expired_waiting() -> ProxyError:
    """The deadline came, or could not be met any more, before an execution began."""
    return DeadlineExceeded(Reason.DEADLINE_EXCEEDED, "The deadline passed while the request waited; it was not run.")


def expired_running() -> ProxyError:
    """The deadline came during the execution."""
    return DeadlineExceeded(Reason.DEADLINE_EXCEEDED, "The deadline passed while the model ran.")


def client_left() -> ProxyError:
    """The client closed the connection, or the rest of the request has failed."""
    return Cancelled(Reason.CANCELLED, "The client closed the connection.")


def instance_lost() -> ProxyError:
    """The execution's instance died, and that of the one retry too."""
    return ExecutionFailed(Reason.INSTANCE_LOST, "The model's process died while running this request, twice.")


def not_retried() -> ProxyError:
    """The execution's instance died, and too many executions are repeated already."""
    message = (
        "The model's process died while running this request; too many requests are being retried to run it again."
    )
    return ExecutionFailed(Reason.INSTANCE_LOST, message)


def not_handed_over() -> ProxyError:
    """The instance did not take the batch."""
    return ExecutionFailed(Reason.INTERNAL, "The batch could not be handed to an instance.")


def not_formed() -> ProxyError:
    """Something raised while an execution was put together: a fault of ours."""
    return ExecutionFailed(Reason.INTERNAL, "No execution could be formed for the request; the server's log says why.")


def not_recovered() -> ProxyError:
    """Something raised while it was decided who of a failed execution runs again: a fault of ours."""
    return ExecutionFailed(Reason.INTERNAL, "The execution failed, and so did what follows; the server's log says why.")


def not_kept() -> ProxyError:
    """The parts were executed, and there was no memory for them as one."""
    return ExecutionFailed(Reason.INTERNAL, "The parts of the answer could not be joined; the server's log says why.")


def not_joined(version: VersionSnapshot, output: str, rows: int) -> ProxyError:
    """An output's shape depends on what runs together, so that the parts of a request do not fit."""
    message = (
        f"The output '{output}' of model '{version.model}' has another shape in each part of this request, which was "
        f"executed in parts. Send at most {rows} rows a request."
    )
    return ExecutionFailed(Reason.MODEL_ERROR, message)


def faulted(verdict: Verdict, fault: BatchFault) -> ProxyError:
    """The model raised, or ran longer than an execution may."""
    if verdict is Verdict.FAIL_TIMED_OUT:
        return DeadlineExceeded(Reason.EXECUTION_TIMEOUT, "The model ran longer than an execution may and was stopped.")
    if fault.no_room:
        return Rejected(Reason.NO_ROOM, f"{fault.message} Retry later, or send fewer rows.", START_RETRY_NS)
    return ExecutionFailed(Reason.MODEL_ERROR, f"The model raised an error: {fault.message}")
