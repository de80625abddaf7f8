"""What is remembered of requests → reports for whoever asked: filtered, sorted, with who shared a batch. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.core.request_reports import Companion, RequestQuery, RequestReport, Sort
from proxy.core.units import NS_PER_S, ns_to_ms
from proxy.metrics.requests import Kept, RequestLog

# Companions that are named. A larger batch says how many there were.
MAX_COMPANIONS = 32


def read_requests(log: RequestLog, query: RequestQuery, now_ns: int, unix_s: float) -> tuple[RequestReport, ...]:
    """The reports that `query` asks for. `now_ns` and `unix_s` are the same moment on both clocks."""
    known = log.everything(now_ns)
    found = [kept for kept in _sorted(log, query, known, now_ns) if _matches(kept, query)][: query.limit]
    by_run: dict[int, list[Kept]] = {}
    for kept in known:
        if kept.run is not None:
            by_run.setdefault(id(kept.run), []).append(kept)
    zero_s = unix_s - now_ns / NS_PER_S
    return tuple(_report(kept, by_run.get(id(kept.run), ()), zero_s) for kept in found)


def _sorted(log: RequestLog, query: RequestQuery, known: list[Kept], now_ns: int) -> list[Kept]:
    """Those to choose from, in the order that is wanted."""
    if query.text or query.number:
        if query.sort is Sort.SLOWEST:
            return sorted(known, key=lambda kept: (-kept.total_ns, kept.number))
        return known
    if query.sort is Sort.SLOWEST:
        return log.slowest(now_ns, query.model)
    return log.recent(query.model)


def _matches(kept: Kept, query: RequestQuery) -> bool:
    return (
        (query.model is None or kept.model == query.model)
        and (not query.number or kept.number == query.number)
        and kept.is_called(query.text)
        and (not query.status or kept.status == query.status)
        and not (query.only_errors and kept.status == 200)
        and (not query.cache or kept.cache == query.cache)
    )


def _report(kept: Kept, beside: Iterable[Kept], zero_s: float) -> RequestReport:
    run = kept.run
    companions = sorted((other for other in beside if other is not kept), key=lambda other: other.number)
    return RequestReport(
        number=kept.number,
        request_id=kept.request_id,
        other_ids=kept.other_ids,
        model=kept.model,
        version=kept.version,
        principal_id=kept.principal_id,
        at_unix_s=zero_s + kept.arrival_ns / NS_PER_S,
        status=kept.status,
        total_ms=ns_to_ms(kept.total_ns),
        parts_ms=tuple((name, ns_to_ms(part_ns)) for name, part_ns in kept.parts),
        reason=kept.reason,
        cache=kept.cache,
        rows=kept.rows,
        attempts=kept.attempts,
        instance_id=run.instance_id if run is not None else "",
        batch_rows=run.rows if run is not None else 0,
        batch_requests=run.requests if run is not None else 0,
        companions=tuple(Companion(other.number, other.request_id) for other in companions[:MAX_COMPANIONS]),
        shared_with=kept.leader_id,
    )
