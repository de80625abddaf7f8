"""What becomes of each request of a batch that gave no outputs: run again, in which parts, or answered with what.

Rules: a verdict is `isolation.judge`'s; a request whose instance was lost runs again at most once and only within the
retry budget, and nothing of it was answered; where nobody killed the instance from outside, all that it ran are
suspects (proxy.scheduler.again); a model that raises is no loss, and halving it costs no budget: the number of its
repetitions is bounded by the batch. Who is found to be the culprit is remembered, and so is whoever may be it and does
not run again now (its client left, or too much runs again): the same inputs run alone when they come again, which is
their trial. Nothing is run for nobody: that would end another instance for sure.
"""

from __future__ import annotations

from proxy.core.batches import BatchFault
from proxy.core.errors import ProxyError
from proxy.core.requests import InferenceRequest
from proxy.core.units import BYTES_PER_MIB
from proxy.scheduler import refusals
from proxy.scheduler.entries import DONE, Entry
from proxy.scheduler.isolation import MAX_LOSSES, Verdict, halves, judge
from proxy.scheduler.lane import Lane

# Bytes of inputs digested after one failed execution; the event loop stands still for 1 to 2 ms a MiB. Larger: more of
# those who may have done it are known when they come again; smaller: a shorter standstill for everybody else.
MOST_DIGESTED_BYTES = 8 * BYTES_PER_MIB


class Recovery:
    """`again` are batches to run next, in order; `suspects` run again, each alone, when their instance can be spared.

    `failed` is what is answered with its error; `too_large` is to be cut.
    """

    __slots__ = ("again", "failed", "suspects", "too_large")

    def __init__(self) -> None:
        self.again: list[list[Entry]] = []
        self.suspects: list[Entry] = []
        self.failed: list[tuple[Entry, ProxyError]] = []
        self.too_large: Entry | None = None


def recover(
    lane: Lane, entries: list[Entry], requests: list[InferenceRequest], fault: BatchFault, now_ns: int
) -> Recovery:
    """Decide for a batch of `entries` and their `requests`: some may be answered already (expired, cancelled)."""
    recovery = Recovery()
    _remember_absent(lane, entries, requests, fault, now_ns)
    batchable = lane.version.batchable
    if fault.out_of_memory:
        lane.ran_out(sum(entry.rows for entry in entries), now_ns)
    live = [entry for entry in entries if entry.state is not DONE]
    if not live:
        return recovery
    verdict = judge(fault, len(entries))
    if fault.out_of_memory and not fault.lost and len(entries) == 1 and live[0].request.rows > 1 and batchable:
        recovery.too_large = live[0]
    elif verdict is Verdict.BISECT:
        shared = not fault.out_of_memory and len({request.principal_id for request in requests}) > 1
        for entry in live:
            entry.isolated |= shared
        recovery.again = [part for part in halves(live) if part]
    elif verdict in (Verdict.RETRY_ALONE, Verdict.RETRY_HALVES):
        _retry(lane, live, recovery, fault, is_alone=len(entries) == 1, now_ns=now_ns)
    else:
        if len(entries) == 1 and not (fault.out_of_memory or fault.timed_out):
            lane.offenders.found(live[0].request, now_ns, harmed_others=live[0].isolated)
        recovery.failed = [(entry, refusals.faulted(verdict, fault)) for entry in live]
    return recovery


def _remember_absent(
    lane: Lane, entries: list[Entry], requests: list[InferenceRequest], fault: BatchFault, now_ns: int
) -> None:
    """Who may have done it and does not run again: all of an execution that hung, and of others those who have left.

    One that hung alone, or ended its instance alone, has done it, whoever still waits for it.
    """
    if fault.timed_out:
        if len(requests) == 1:
            lane.offenders.found(requests[0], now_ns, harmed_others=True)
            return
        absent = requests
    else:
        absent = [request for entry, request in zip(entries, requests, strict=True) if entry.state is DONE]
    if absent and len(requests) == 1 and fault.lost:
        _count_loss(lane, entries[0], fault)
        _is_to_blame(lane, entries[0], requests[0], fault, now_ns)
        return
    _are_untried(lane, absent, fault, now_ns)


def _are_untried(lane: Lane, requests: list[InferenceRequest], fault: BatchFault, now_ns: int) -> None:
    """They do not run again now; what a kill from outside or too little memory met says nothing of inputs."""
    if fault.from_outside or fault.out_of_memory:
        return
    crashed_at = lane.measured.executions if fault.lost and not fault.timed_out else None
    left_bytes = MOST_DIGESTED_BYTES
    for request in requests:
        size_bytes = sum([len(tensor.data) for tensor in request.inputs])
        if size_bytes <= left_bytes:
            left_bytes -= size_bytes
            lane.offenders.untried(request, now_ns, crashed_at)


def _retry(
    lane: Lane, live: list[Entry], recovery: Recovery, fault: BatchFault, *, is_alone: bool, now_ns: int
) -> None:
    """Some of `live` run once more, in which way the fault says; the others have failed."""
    again, turned_away = [], []
    ratio = lane.policy.retry.budget_ratio
    for entry in live:
        _count_loss(lane, entry, fault)
        if (is_alone and _is_to_blame(lane, entry, entry.request, fault, now_ns)) or entry.losses >= MAX_LOSSES:
            recovery.failed.append((entry, refusals.instance_lost()))
        elif lane.budget.take(ratio, lane.measured.requests, now_ns):
            again.append(entry)
        else:
            recovery.failed.append((entry, refusals.not_retried()))
            turned_away.append(entry.request)
    _are_untried(lane, turned_away, fault, now_ns)
    if fault.out_of_memory and not is_alone:
        recovery.again = [part for part in halves(again) if part]
    elif fault.from_outside:
        recovery.again = [[entry] for entry in again]
    else:
        recovery.suspects = again


def _count_loss(lane: Lane, entry: Entry, fault: BatchFault) -> None:
    entry.losses += 1
    if not fault.from_outside:
        entry.crashes += 1
        if entry.crashes == 1:
            entry.results_at_loss = lane.measured.executions


def _is_to_blame(lane: Lane, entry: Entry, request: InferenceRequest, fault: BatchFault, now_ns: int) -> bool:
    """`entry` was alone in an instance that it lost: a crash may be its doing, a kill may be chance."""
    offenders, results = lane.offenders, lane.measured.executions
    if fault.from_outside:
        if entry.losses >= MAX_LOSSES:
            offenders.found(request, now_ns, harmed_others=True)
        return False
    run = request.run
    record = lane.records.get(run.instance_id) if run is not None else None
    is_sure = offenders.ended(
        request,
        now_ns,
        crashes=entry.crashes,
        results_then=entry.results_at_loss,
        results=results,
        is_proven=record is not None and record.idle_ns > 0,
    )
    fault.is_explained = is_sure and offenders.explain(results)
    return is_sure
