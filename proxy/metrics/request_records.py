"""What the line noted of one request → what is remembered of it. Pure; called for the few that are kept."""

from __future__ import annotations

from typing import Protocol

from proxy.core.errors import ProxyError, Reason
from proxy.core.principals import Principal
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import VersionSnapshot
from proxy.metrics.request_parts import Moments, split
from proxy.metrics.requests import MAX_ID_CHARACTERS, Kept


class CallView(Protocol):
    """What is read of a call on its way (proxy.call.Call). `*_ns`: see proxy.metrics.request_parts.Moments."""

    @property
    def request(self) -> InferenceRequest:
        """The parsed request."""
        ...

    @property
    def leader(self) -> CallView | None:
        """Whose execution answers it, too."""
        ...

    @property
    def received_ns(self) -> int:
        """The body was complete."""
        ...

    @property
    def asked_ns(self) -> int:
        """The cache's look-up began."""
        ...

    @property
    def looked_ns(self) -> int:
        """It ended."""
        ...

    @property
    def executed_ns(self) -> int:
        """The result was there."""
        ...


class OpenView(Protocol):
    """What is read of a call whose body was not read (proxy.open_call.OpenCall)."""

    @property
    def principal(self) -> Principal:
        """Who asks."""
        ...

    @property
    def version(self) -> VersionSnapshot:
        """Which version."""
        ...

    @property
    def arrival_ns(self) -> int:
        """Its head was read."""
        ...

    @property
    def received_ns(self) -> int:
        """The body was complete."""
        ...


def answered(number: int, call: CallView, result: InferenceResult, now_ns: int) -> Kept:
    """A request that got its answer, written at `now_ns`."""
    return _of_call(number, call, result, 200, "", now_ns)


def failed(number: int, call: CallView, status: int, reason: Reason, now_ns: int) -> Kept:
    """A request that was read and ended without outputs at `now_ns`."""
    return _of_call(number, call, None, status, str(reason), now_ns)


def repeated(
    number: int,
    version: VersionSnapshot,
    request_id: str | None,
    principal_id: str,
    arrival_ns: int,
    asked_ns: int,
    now_ns: int,
) -> Kept:
    """A body that was answered by the answer of the same body before it, without being read: its rows are not known."""
    moments = Moments(asked_ns, asked_ns, now_ns, now_ns, now_ns)
    bare = InferenceRequest(version, (), 0, arrival_ns, 0, request_id=request_id)
    return _kept(number, bare, principal_id, moments, None, 200, "", cache="hit")


def unread(number: int, call: OpenView, error: ProxyError, now_ns: int) -> Kept:
    """A request whose body was refused at `now_ns`."""
    bare = InferenceRequest(call.version, (), 0, call.arrival_ns, 0)
    moments = Moments(call.received_ns, now_ns, now_ns, 0, now_ns)
    return _kept(number, bare, call.principal.principal_id, moments, None, error.status, str(error.reason))


def _of_call(
    number: int, call: CallView, result: InferenceResult | None, status: int, reason: str, now_ns: int
) -> Kept:
    request = call.request
    run = request.run
    executed_ns = run.finished_ns if run is not None and result is not None else call.executed_ns
    moments = Moments(call.received_ns, call.asked_ns, call.looked_ns, executed_ns, now_ns)
    hit = result is not None and result.cache_hit
    cache = "hit" if hit else "miss" if call.looked_ns else ""
    return _kept(number, request, request.principal_id, moments, result, status, reason, cache=cache, call=call)


def _kept(
    number: int,
    request: InferenceRequest,
    principal_id: str,
    moments: Moments,
    result: InferenceResult | None,
    status: int,
    reason: str,
    *,
    cache: str = "",
    call: CallView | None = None,
) -> Kept:
    leader = call.leader if call is not None else None
    ran = request if leader is None else leader.request
    execution = result.execution if result is not None else None
    return Kept(
        number=number,
        request_id=_id_of(request, number),
        model=request.version.model,
        version=request.version.number,
        principal_id=principal_id,
        arrival_ns=request.arrival_ns,
        total_ns=moments.answered_ns - request.arrival_ns,
        status=status,
        reason=reason,
        parts=split(request, moments, execution, is_follower=leader is not None),
        rows=request.rows,
        cache=cache,
        attempts=request.attempts,
        run=ran.run,
        leader_id="" if leader is None else _id_of(leader.request, 0),
    )


def _id_of(request: InferenceRequest, number: int) -> str:
    """The client's id, cut; where it gave none, one of ours (`auto-` alone: not kept itself)."""
    if request.request_id:
        return request.request_id[:MAX_ID_CHARACTERS]
    return f"auto-{number}" if number else "auto"
