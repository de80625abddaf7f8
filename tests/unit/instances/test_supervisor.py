"""What the watchdog kills for, at the limit and one nanosecond before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.core.policies import ExecutionPolicy
from proxy.core.units import BYTES_PER_MIB, NS_PER_MS, NS_PER_S
from proxy.instances.state import InstanceState
from proxy.instances.supervisor import (
    MOST_LATE_NS,
    PING_ANSWER_NS,
    STOP_GRACE_NS,
    InstanceView,
    KillReason,
    may_judge,
    outgrown,
    renew_pause_ns,
    verdict,
)

POLICY = ExecutionPolicy(timeout_ns=2 * NS_PER_S, load_timeout_ns=5 * NS_PER_S, memory_limit_bytes=100 * BYTES_PER_MIB)
START = 1_000


def view(state=InstanceState.READY, *, since=START, started=START, executing=0, ping=0, resident=0):
    return InstanceView(state, since, started, executing, ping, resident)


@pytest.mark.parametrize(
    ("seen", "limit_ns", "reason"),
    [
        (view(executing=START), 2 * NS_PER_S, KillReason.EXECUTION_TIMEOUT),
        (view(InstanceState.DRAINING, executing=START), 2 * NS_PER_S, KillReason.EXECUTION_TIMEOUT),
        (view(InstanceState.STARTING), 5 * NS_PER_S, KillReason.LOAD_TIMEOUT),
        (view(InstanceState.LOADING, since=START + NS_PER_S), 5 * NS_PER_S, KillReason.LOAD_TIMEOUT),
        (view(InstanceState.DRAINING), STOP_GRACE_NS, KillReason.STOP_TIMEOUT),
        (view(ping=START), PING_ANSWER_NS, KillReason.NO_ANSWER),
    ],
)
def test_each_limit_kills_when_it_is_reached_and_not_before(seen, limit_ns, reason):
    assert verdict(seen, POLICY, START + limit_ns - 1) is None
    kill = verdict(seen, POLICY, START + limit_ns)
    assert kill is not None
    assert kill.reason is reason
    assert kill.message


def test_an_idle_ready_instance_lives_for_ever():
    assert verdict(view(), POLICY, START + 10**18) is None


def test_memory_is_measured_against_the_limit_with_slack():
    assert verdict(view(resident=109 * BYTES_PER_MIB), POLICY, START) is None
    kill = verdict(view(resident=111 * BYTES_PER_MIB), POLICY, START)
    assert kill is not None
    assert kill.reason is KillReason.MEMORY
    assert "111 MiB" in kill.message
    assert verdict(view(resident=10**12), ExecutionPolicy(memory_limit_bytes=0), START) is None


@pytest.mark.parametrize(
    ("late_ns", "timeout_ns", "was_put_off", "expected"),
    [
        (0, 10 * NS_PER_S, False, True),
        (MOST_LATE_NS - 1, 10 * NS_PER_S, False, True),
        (MOST_LATE_NS, 10 * NS_PER_S, False, False),
        (60 * MOST_LATE_NS, 10 * NS_PER_S, True, True),
        (99 * NS_PER_MS, 200 * NS_PER_MS, False, True),
        (100 * NS_PER_MS, 200 * NS_PER_MS, False, False),
    ],
)
def test_a_look_that_comes_late_is_put_off_once(late_ns, timeout_ns, was_put_off, expected):
    assert may_judge(1_000, was_put_off, 1_000 + late_ns, timeout_ns) is expected


@pytest.mark.parametrize(
    ("ready", "held", "limit", "state", "expected"),
    [
        (20, 90, 100, InstanceState.READY, True),
        (20, 89, 100, InstanceState.READY, False),
        (85, 92, 100, InstanceState.READY, False),  # it needs most of its limit from the start
        (85, 93, 100, InstanceState.READY, True),
        (20, 95, 100, InstanceState.DRAINING, False),
        (0, 95, 100, InstanceState.READY, False),  # what it held at first is not known
        (20, 95, 0, InstanceState.READY, False),
        (20, 0, 100, InstanceState.READY, False),  # not looked at this time
    ],
)
def test_an_instance_that_grows_close_to_its_limit_is_to_be_replaced(ready, held, limit, state, expected):
    policy = replace(POLICY, memory_limit_bytes=limit * BYTES_PER_MIB)
    seen = replace(view(state), held_bytes=held * BYTES_PER_MIB, ready_bytes=ready * BYTES_PER_MIB)
    why = outgrown(seen, policy)
    assert bool(why) is expected
    if why:
        assert why == f"Its memory grew from {ready} to {held} MiB, close to its limit of {limit} MiB."


@pytest.mark.parametrize(
    ("due_after_s", "pauses_s"),
    [
        (10, [60, 120, 240, 480, 960, 1920, 3600, 3600]),  # it needs so much: soon as large as before
        (60, [60, 120, 240, 480, 960, 1920, 3600, 3600]),
        (90, [60] * 8),  # it leaks, and each of its instances lasts longer than the pause
        (3600, [60] * 8),
    ],
)
def test_replacements_that_bring_nothing_become_seldom(due_after_s, pauses_s):
    pause_ns, since_ns, seen_s = 0, 10**18, []
    for _ in pauses_s:
        pause_ns = renew_pause_ns(pause_ns, since_ns)
        seen_s.append(pause_ns // NS_PER_S)
        since_ns = max(due_after_s * NS_PER_S, pause_ns)
    assert seen_s == pauses_s
