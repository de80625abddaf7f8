"""What is noted when requests go to an instance: their times, who runs what, what the lane counts. No clock, no I/O."""

from __future__ import annotations

from proxy.core.batches import Batch, Run
from proxy.scheduler.entries import RETRYING, RUNNING, Entry
from proxy.scheduler.lane import Lane
from proxy.scheduler.ports import InstancePort


def begin(lane: Lane, instance: InstancePort, entries: list[Entry], batch_id: int, now_ns: int) -> tuple[Batch, Run]:
    """The execution of `entries`, which run from now on; what may fail of it comes before anything is noted."""
    record = lane.records.get(instance.instance_id) or lane.records.of(instance, lane.group.ready_instances())
    run = Run(batch_id, instance.instance_id, len(entries))
    requests, rows, waited_ns, idle_ns = [], 0, 0, record.idle_ns
    for entry in entries:
        request = entry.request
        request.run = run
        if entry.state is RETRYING:
            lane.retrying -= 1
            lane.again.suspects_running += bool(entry.suspect_until_ns)
        entry.state = RUNNING
        request.dispatched_ns = now_ns
        request.idle_ns = idle_ns
        request.attempts += 1
        waited_ns += now_ns - request.queued_ns
        requests.append(request)
        rows += entry.rows
    measured = lane.measured
    measured.queue_wait_ns += waited_ns
    measured.queue_waits += len(entries)
    lane.in_flight += len(entries)
    lane.turn = record.last_turn = lane.turn + 1
    run.rows = rows
    measured.began(batch_id, rows, now_ns)
    return Batch(batch_id, lane.version, requests, rows, lane.padded_rows(rows)), run
