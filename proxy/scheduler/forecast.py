"""Predicts when a request that joins a lane now would begin to run, and for how long. Pure.

Place: asked by the gate where a deadline is near, and for hints to return. Each running execution ends at its start and
what the line says of its rows; from then on its instance takes full batches of what is ahead.
Rules: whom a request joins counts as its company or as ahead of it, never as both; who joins makes nobody late who was
admitted: where the batch that it would join holds one whose deadline leaves no room, it goes with the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from proxy.scheduler.admission import MARGIN_DIVISOR, MARGIN_ERRORS, margin_ns
from proxy.scheduler.lane import Lane
from proxy.scheduler.latency_model import LatencyModel
from proxy.scheduler.queue import RequestQueue


def remaining_ns(began_ns: int, service_ns: int, now_ns: int) -> int:
    """Time that an execution of `service_ns` still needs; one that is overdue is expected to stay so for as long again.

    So a little noise is a little time, and what hangs is not waited for as if it ended in this moment.
    """
    return abs(began_ns + service_ns - now_ns)


def free_in_ns(
    running: Iterable[tuple[int, int]], ready: int, pace: LatencyModel, now_ns: int, *, is_blocked: bool
) -> list[int]:
    """In what time each instance is free, of those that will run what waits; never empty.

    `running` are (began_ns, rows) of executions, `ready` instances take new ones. An idle one is free now, unless the
    lane `is_blocked`: then it is being passed over. Where more runs than instances are ready, some of it is on
    instances that leave: the first to end, for all that is known here.
    """
    found = [remaining_ns(began_ns, pace.predict_ns(rows), now_ns) for began_ns, rows in running]
    if len(found) < ready:
        if not is_blocked:
            found.extend([0] * (ready - len(found)))
    elif len(found) > ready > 0:
        found.sort()
        del found[:-ready]
    return found or [0]


def start_in_ns(free_ns: list[int], batches_ahead: int, full_ns: int) -> int:
    """In what time the execution behind `batches_ahead` full ones begins, with instances free in `free_ns` (not empty).

    Instance i begins executions at free_i, free_i + full, free_i + 2·full, …: of all of these in order of time it is
    the one at place `batches_ahead`, counted from 0. One instance that is free much later than others (what it runs
    hangs) leaves theirs to them.
    """
    free_ns = sorted(free_ns)
    if full_ns <= 0:
        return free_ns[0]
    latest_ns = free_ns[-1]
    if latest_ns - free_ns[0] >= full_ns:

        def before(index: int) -> int:
            """How many begin a full one or more before instance `index` is free."""
            return sum([(free_ns[index] - at_ns) // full_ns for at_ns in free_ns[:index]])

        last = bisect_right(range(len(free_ns)), batches_ahead, key=before) - 1
        batches_ahead -= before(last)
        latest_ns = free_ns[last]
        free_ns = sorted([latest_ns - (latest_ns - at_ns) % full_ns for at_ns in free_ns[: last + 1]])
    rounds, place = divmod(batches_ahead, len(free_ns))
    return free_ns[place] + rounds * full_ns


def forecast(lane: Lane, rows_before: int, rows: int, now_ns: int) -> tuple[int, int]:
    """In what time a request of `rows` begins that joins now behind `rows_before`, and how long its batch then takes.

    Of one that is run in parts it is the last part. The batch is as large as those make it who are there and who come,
    at the present rate, until it begins.
    """
    queue, measured = lane.queue, lane.measured
    pace, most = measured.latency, queue.contention.bound(lane.max_rows)
    full_ns = pace.predict_ns(most)
    batches = (rows_before + rows - 1) // most
    own = min(rows, most)
    place = max(rows_before + rows - batches * most, own)
    together = max(min(queue.rows + rows - batches * most, most), own)
    if lane.retrying or queue.shapes > 1:  # executions that are not full
        batches = max(-(-(rows_before + lane.retrying) // most), batches)
    free_ns = _free_in_ns(lane, now_ns)
    wait_ns = start_in_ns(free_ns, batches, full_ns)
    if place > own and (first_ns := _first_deadline_ns(queue, rows_before, batches * most)):
        left_ns = first_ns - now_ns
        left_ns = min(left_ns * MARGIN_DIVISOR // (MARGIN_DIVISOR + 1), left_ns - MARGIN_ERRORS * pace.error_ns)
        room_rows = pace.rows_within(left_ns - wait_ns)
        if 0 < room_rows < place:
            wait_ns, together = start_in_ns(free_ns, batches + 1, full_ns), max(place - room_rows, own)
    together += int(measured.rate_per_ns(now_ns) * wait_ns) * rows
    return wait_ns, pace.predict_ns(min(together, most))


def drain_ns(lane: Lane, now_ns: int) -> int:
    """Predicted time until one that joins now, behind all that wait, begins to run; 0 where an instance is idle."""
    if not lane.blocked and not lane.depth:
        return 0
    most = lane.queue.contention.bound(lane.max_rows)
    full_ns = lane.measured.latency.predict_ns(most)
    return start_in_ns(_free_in_ns(lane, now_ns), (lane.queue.rows + lane.retrying) // most, full_ns)


def longest_ns(lane: Lane) -> int:
    """No less than `forecast` for whoever joins now, with its margin, as long as no execution is overdue.

    Behind everyone, all instances having just begun a full batch, in the next batch but one, which is full.
    """
    measured, most = lane.measured, lane.queue.contention.bound(lane.max_rows)
    latency = measured.latency
    full_ns = latency.predict_ns(most) if latency.padded else latency.alpha_ns + latency.beta_ns * most
    ahead = (lane.queue.rows + lane.retrying) // most + 2 + measured.running
    longest_ns = ahead * full_ns // (lane.ready or 1) + full_ns
    return longest_ns + margin_ns(longest_ns, latency.error_ns) + 1


def _free_in_ns(lane: Lane, now_ns: int) -> list[int]:
    measured = lane.measured
    return free_in_ns(measured.executing.values(), lane.ready, measured.latency, now_ns, is_blocked=lane.blocked)


def _first_deadline_ns(queue: RequestQueue, rows_before: int, rows_left: int) -> int:
    """The deadline of whoever is first when `rows_left` have gone; 0: not known.

    Known of the next batch, and, for one that joins at the end of the only line, of any (rows taken to be even).
    """
    group = queue.head_group()
    line = group.next_line(queue.ageing_ns) if group is not None and queue.shapes == 1 else None
    if line is None:
        return 0
    index = rows_left * queue.depth // queue.rows
    if index and (rows_before != queue.rows or line.flow.live != queue.depth or index >= len(line.entries)):
        return 0
    return line.entries[index].deadline_ns
