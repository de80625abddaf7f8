"""What the line noted of one request → what is remembered of it. Pure; called for the few that are kept."""

from __future__ import annotations

from typing import Protocol

from proxy.core.errors import ProxyError, Reason
from proxy.core.principals import Principal
from proxy.core.request_ids import RequestIds
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.snapshot import VersionSnapshot
from proxy.metrics.request_parts import Moments, split
from proxy.metrics.requests import Kept, Mark


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
    def header_id(self) -> str | None:
        """What its head calls it."""
        ...

    @property
    def arrival_ns(self) -> int:
        """Its head was read."""
        ...

    @property
    def received_ns(self) -> int:
        """The body was complete."""
        ...


def answered(mark: Mark, call: CallView, result: InferenceResult, now_ns: int) -> Kept:
    """A request that got its answer, written at `now_ns`."""
    return _of_call(mark, call, result, 200, "", now_ns)


def failed(mark: Mark, call: CallView, status: int, reason: Reason, now_ns: int) -> Kept:
    """A request that was read and ended without outputs at `now_ns`."""
    return _of_call(mark, call, None, status, str(reason), now_ns)


def repeated(mark: Mark, call: OpenView, body_id: str | None, now_ns: int) -> Kept:
    """A body that was answered by the answer of the same body before it, without being read: its rows are not known."""
    moments = Moments(call.received_ns, call.received_ns, now_ns, now_ns, now_ns)
    bare = InferenceRequest(call.version, (), 0, call.arrival_ns, 0, request_id=body_id, header_id=call.header_id)
    return _kept(mark, bare, call.principal.principal_id, moments, None, 200, "", cache="hit")


def unread(mark: Mark, call: OpenView, error: ProxyError, now_ns: int) -> Kept:
    """A request whose body was refused at `now_ns`."""
    bare = InferenceRequest(call.version, (), 0, call.arrival_ns, 0, header_id=call.header_id)
    moments = Moments(call.received_ns, now_ns, now_ns, 0, now_ns)
    return _kept(mark, bare, call.principal.principal_id, moments, None, error.status, str(error.reason))


def _of_call(mark: Mark, call: CallView, result: InferenceResult | None, status: int, reason: str, now_ns: int) -> Kept:
    request = call.request
    run = request.run
    executed_ns = run.finished_ns if run is not None and result is not None else call.executed_ns
    moments = Moments(call.received_ns, call.asked_ns, call.looked_ns, executed_ns, now_ns)
    hit = result is not None and result.cache_hit
    cache = "hit" if hit else "miss" if call.looked_ns else ""
    return _kept(mark, request, request.principal_id, moments, result, status, reason, cache=cache, call=call)


def _kept(
    mark: Mark,
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
    ids = ids_of(request, mark.made_id)
    leader = call.leader if call is not None else None
    ran = request if leader is None else leader.request
    execution = result.execution if result is not None else None
    return Kept(
        number=mark.number,
        request_id=ids.shown(),
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
        leader_id="" if leader is None else ids_of(leader.request, "auto").shown(),
        other_ids=ids.others(),
    )


def ids_of(request: InferenceRequest, made_id: str) -> RequestIds:
    """What the request may be called."""
    return RequestIds(request.header_id, request.request_id, made_id)
