"""Asks every rule that may refuse a request, in order, before it waits. No clock, no I/O.

Order: deadline passed; key refused for a while; inputs that end instances; no working instance; too many rows; then,
only where somebody waits, every instance is busy or the policy's concurrency limit is met: the bounds of the queue and
the concurrency limit (where a newcomer may take another's place), and whether it would be late.
"""

from __future__ import annotations

from proxy.core.errors import ProxyError, Reason
from proxy.core.requests import InferenceRequest
from proxy.scheduler import refusals
from proxy.scheduler.admission import Bounds, admit, is_late, retry_after_ns
from proxy.scheduler.entries import Entry
from proxy.scheduler.forecast import forecast, longest_ns
from proxy.scheduler.lane import Lane
from proxy.scheduler.ports import Chance

# Parts that one request may be cut into. Larger: cutting (some 3 µs a part) keeps the event loop longer.
MAX_PARTS = 2_048


def ask(
    lane: Lane, request: InferenceRequest, level: int, key: str, now_ns: int, chance: Chance
) -> ProxyError | Entry | None:
    """None: it may wait. ProxyError: why not. Entry: it may, if this waiting request gives its place up."""
    if request.deadline_ns <= now_ns:
        return refusals.expired_on_arrival()
    offenders = lane.offenders
    if offenders.are_charged or offenders.are_killers_known:
        refusal = _ask_offenders(lane, request, now_ns, chance)
        if refusal is not None:
            return refusal
    if lane.ready == 0 and lane.group.failed:
        return refusals.no_instance(lane.version)
    if request.rows > lane.policy_rows and lane.refuses_oversize:
        return refusals.oversize(lane.version, request.rows, lane.policy_rows)
    if request.rows > MAX_PARTS * lane.max_rows and lane.version.batchable:
        return refusals.oversize(lane.version, request.rows, MAX_PARTS * lane.max_rows)
    if not lane.blocked and not lane.queue.depth and not lane.retrying and _has_idle(lane):
        limit = lane.concurrency_limit
        if not limit or lane.in_flight < limit:
            return None
    return _ask_busy(lane, request, level, key, now_ns, chance)


def _has_idle(lane: Lane) -> bool:
    """True if an instance is idle, or none is ready yet. Looks at each only where as many run as are ready."""
    if lane.measured.running < lane.ready or not lane.ready:
        return True
    return any(instance.idle for instance in lane.group.ready_instances())


def _ask_offenders(lane: Lane, request: InferenceRequest, now_ns: int, chance: Chance) -> ProxyError | None:
    offenders = lane.offenders
    until_ns = offenders.refused_until_ns(request.principal_id, now_ns) if offenders.are_charged else 0
    if until_ns:
        return refusals.repeat_offender(lane.version, retry_after_ns(until_ns - now_ns, chance))
    until_ns = offenders.killer_until_ns(request, now_ns) if offenders.are_killers_known else 0
    return refusals.killer(lane.version, retry_after_ns(until_ns - now_ns, chance)) if until_ns else None


def _ask_busy(
    lane: Lane, request: InferenceRequest, level: int, key: str, now_ns: int, chance: Chance
) -> ProxyError | Entry | None:
    queue, policy = lane.queue, lane.policy.queue
    bound = policy.max_requests_per_priority
    if (
        queue.depth + lane.retrying < policy.max_requests
        and not (bound or lane.limit is not None or lane.concurrency_limit or request.rows > lane.max_rows)
        and now_ns + longest_ns(lane) < request.deadline_ns
    ):
        return None  # what nearly every request is: `admit` would say the same
    rows_before = queue.rows_before(level, key, request.weight)
    wait_ns, service_ns = forecast(lane, rows_before, request.rows, now_ns)
    bounds = Bounds(
        lane.depth,
        policy.max_requests,
        queue.depth_of(level) if bound else 0,
        bound,
        lane.depth + lane.in_flight,
        lane.limit_now(),
    )
    error_ns = lane.measured.latency.error_ns
    reject = admit(bounds, wait_ns, service_ns, request.deadline_ns, now_ns, error_ns)
    if reject is None:
        return None
    is_whole = request.rows <= lane.max_rows or not lane.version.batchable
    if reject.reason is not Reason.PREDICTED_LATE and is_whole:
        other = queue.displaced_by(level, key, request.weight, same_level=reject.level)
        if other is not None and not is_late(wait_ns, service_ns, request.deadline_ns, now_ns, error_ns):
            return other
    return refusals.rejected(reject, bounds, lane.version, retry_after_ns(wait_ns, chance))
