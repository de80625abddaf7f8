"""The words and types in which the scheduler refuses or fails a request. Pure.

Rules: a message says which rule fired and how to mend it; never a path, a trace or another caller's doing.
"""

from __future__ import annotations

from proxy.core.batches import BatchFault
from proxy.core.errors import DeadlineExceeded, ExecutionFailed, NotReady, ProxyError, Reason, Rejected
from proxy.core.policies import QueuePolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.admission import Reject
from proxy.scheduler.isolation import Verdict

# Hints to return where nothing can be predicted: an instance takes about seconds to start. Larger: calmer, later.
START_RETRY_NS = 2 * NS_PER_S
# Longest hint given. Larger: callers stay away longer after a burst that is over sooner.
LONGEST_RETRY_NS = 60 * NS_PER_S
# Shortest hint given. Smaller: callers return before anything can have changed.
SHORTEST_RETRY_NS = 10 * NS_PER_MS


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


def rejected(reject: Reject, version: VersionSnapshot, policy: QueuePolicy) -> ProxyError:
    """Refused at admission."""
    retry_after_ns = min(max(reject.retry_after_ns, SHORTEST_RETRY_NS), LONGEST_RETRY_NS)
    wait = f"{reject.retry_after_ns / NS_PER_MS:.0f} ms"
    if reject.reason is Reason.QUEUE_FULL:
        message = f"The queue of model '{version.model}' is full ({policy.max_requests} requests wait). Retry later."
    else:
        message = (
            f"Model '{version.model}' would answer after the request's deadline (predicted wait {wait}). "
            "Retry later or allow a longer timeout."
        )
    return Rejected(reject.reason, message, retry_after_ns)


def expired_waiting() -> ProxyError:
    """The deadline came, or could not be met any more, before an execution began."""
    return DeadlineExceeded(Reason.DEADLINE_EXCEEDED, "The deadline passed while the request waited; it was not run.")


def expired_running() -> ProxyError:
    """The deadline came during the execution."""
    return DeadlineExceeded(Reason.DEADLINE_EXCEEDED, "The deadline passed while the model ran.")


def instance_lost() -> ProxyError:
    """The execution's instance died, and that of the one retry too."""
    return ExecutionFailed(Reason.INSTANCE_LOST, "The model's process died while running this request, twice.")


def faulted(verdict: Verdict, fault: BatchFault) -> ProxyError:
    """The model raised, or ran longer than an execution may."""
    if verdict is Verdict.FAIL_TIMED_OUT:
        return DeadlineExceeded(Reason.EXECUTION_TIMEOUT, "The model ran longer than an execution may and was stopped.")
    return ExecutionFailed(Reason.MODEL_ERROR, f"The model raised an error: {fault.message}")
