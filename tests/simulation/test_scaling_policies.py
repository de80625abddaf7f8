"""Scaling on simulated load: no flapping under noise, a step is followed, and three signals are no worse than one."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.testing.scaling import POLICIES, TRACES, simulate, table
from proxy.tuner.instance_count import SIGNALS


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("trace", TRACES)
def test_no_load_makes_the_number_turn_more_than_once_a_minute(trace: str, seed: int) -> None:
    assert simulate(trace, SIGNALS, seed).most_reversals_a_minute <= 1


@pytest.mark.parametrize("trace", TRACES)
def test_all_three_let_no_more_requests_wait_than_the_best_of_them_alone(trace: str) -> None:
    alone = min(simulate(trace, heed).late_ratio for name, heed in POLICIES.items() if name != "all three")
    assert simulate(trace, SIGNALS).late_ratio <= alone + 0.01


def test_a_step_is_carried_after_a_short_time_and_given_back() -> None:
    outcome = simulate("step", SIGNALS)
    assert outcome.late_ratio < 0.1
    assert outcome.instances < 6.5


def test_the_same_seed_gives_the_same_numbers() -> None:
    assert simulate("noise", SIGNALS, 7) == simulate("noise", SIGNALS, 7)


def test_the_document_has_the_table_that_the_command_prints() -> None:
    """If it has not: `python -m proxy.testing.scaling`."""
    assert table() in (Path(__file__).parents[2] / "docs/scaling.md").read_text()
