"""Waiting for an instance and waiting for company are told apart."""

from __future__ import annotations

from rig import Rig, policy

from proxy.core.units import NS_PER_MS
from proxy.protocol.v2_answer import server_timing


def test_time_without_an_idle_instance_is_queue_and_the_rest_is_batch() -> None:
    rig = Rig(the_policy=policy(max_rows=2, max_delay_ns=100 * NS_PER_MS), service_ns=10 * NS_PER_MS)
    first = [rig.submit(), rig.submit()]  # a full batch leaves at once; the instance is new
    waiting = rig.submit()  # for 10 ms no instance is idle, then it waits for company
    rig.clock.advance(10 * NS_PER_MS)
    rig.clock.advance(7 * NS_PER_MS)
    company = rig.submit()
    rig.clock.advance(10 * NS_PER_MS)
    assert all(rig.is_right(request) for request in (*first, waiting, company))
    assert parts(rig, first[0]) == {"queue": 0.0, "batch": 0.0}
    assert parts(rig, waiting) == {"queue": 10.0, "batch": 7.0}
    assert parts(rig, company) == {"queue": 0.0, "batch": 0.0}


def parts(rig: Rig, request) -> dict[str, float]:
    result = rig.answers[request]
    now_ns = rig.clock.now_ns()
    assert result.execution is not None
    _, header = server_timing(result, request, request.arrival_ns, now_ns, now_ns)
    found = {name: float(ms) for name, ms in (part.split(";dur=") for part in header.decode().split(", "))}
    assert list(found) == ["body", "parse", "queue", "batch", "input", "compute", "output", "write", "total"]
    return {name: found[name] for name in ("queue", "batch")}
