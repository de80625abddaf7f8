"""When lost instances are replaced and when their group is given up."""

from __future__ import annotations

import pytest

from proxy.core.units import NS_PER_S
from proxy.instances import restart
from proxy.instances.restart import RestartRecord


def test_failed_starts_wait_twice_as_long_each_time_and_five_in_a_row_are_quarantine():
    record = RestartRecord()
    delays = []
    for _ in range(5):
        assert not record.is_quarantined
        record = restart.after_failed_start(record, now_ns=100)
        delays.append((record.not_before_ns - 100) // NS_PER_S)
    assert delays == [1, 2, 4, 8, 16]
    assert record.is_quarantined


@pytest.mark.parametrize("failures", [6, 7, 60, 10_000])
def test_the_delay_is_bounded(failures):
    record = restart.after_failed_start(RestartRecord(failed_starts=failures), 0)
    assert record.not_before_ns == 60 * NS_PER_S
    record = restart.after_loss(RestartRecord(early_losses=failures), 0, 0)
    assert record.not_before_ns == 15 * NS_PER_S


def test_a_success_between_failures_begins_the_count_anew():
    record = RestartRecord()
    for _ in range(4):
        record = restart.after_failed_start(record, 0)
    record = restart.after_ready(record)
    assert not restart.after_failed_start(record, 0).is_quarantined


def test_an_instance_that_worked_is_replaced_at_once():
    record = restart.after_loss(RestartRecord(early_losses=3), completed_executions=1, now_ns=7)
    assert record.not_before_ns == 0
    assert record.early_losses == 0


def test_instances_lost_before_any_execution_wait_but_are_never_given_up():
    record = RestartRecord()
    for _ in range(100):
        record = restart.after_loss(record, completed_executions=0, now_ns=0)
    assert record.not_before_ns == 15 * NS_PER_S
    assert not record.is_quarantined
    assert restart.after_first_execution(record).early_losses == 0


@pytest.mark.parametrize(("completed", "delay_s"), [(1, 0), (0, 1)])
def test_the_loss_of_an_instance_that_was_ready_ends_a_quarantine(completed, delay_s):
    record = RestartRecord(failed_starts=5, not_before_ns=90 * NS_PER_S)
    record = restart.after_loss(record, completed, now_ns=0)
    assert not record.is_quarantined
    assert record.not_before_ns == delay_s * NS_PER_S


def test_f40_a_machine_that_gives_no_process_says_nothing_of_the_version():
    record = RestartRecord()
    delays = []
    for _ in range(6):
        record = restart.after_refused_start(record, now_ns=100)
        delays.append((record.not_before_ns - 100) // NS_PER_S)
    assert delays == [1, 2, 4, 8, 15, 15]
    assert not record.is_quarantined
    assert restart.after_refused_start(restart.after_ready(record), 0).not_before_ns == NS_PER_S
