"""Erlang's formulas against known values, and the line of service times."""

from __future__ import annotations

from math import inf

import pytest

from proxy.tuner.queueing import erlang_b, erlang_c, mean_wait_s
from proxy.tuner.service_time import fit

# PROTOCOLS section 10: c, a, B, C, Wq/S
VECTORS = [
    (1, 0.8, 0.444444, 0.800000, 4.000000),
    (2, 1.6, 0.329897, 0.711111, 1.777778),
    (4, 3.2, 0.228145, 0.596432, 0.745541),
    (9, 8.0, 0.173141, 0.653327, 0.653327),
    (10, 8.0, 0.121661, 0.409180, 0.204590),
]


@pytest.mark.parametrize(("instances", "offered", "b", "c", "wait"), VECTORS)
def test_the_formulas_give_the_known_values(instances, offered, b, c, wait):
    assert erlang_b(instances, offered) == pytest.approx(b, abs=1e-6)
    assert erlang_c(instances, offered) == pytest.approx(c, abs=1e-6)
    assert mean_wait_s(instances, offered, 1.0) == pytest.approx(wait, abs=1e-6)


def test_one_instance_is_the_textbook_s_single_server():
    assert mean_wait_s(1, 0.5, 2.0) == pytest.approx(0.5 / 0.5 * 2.0)


def test_what_cannot_be_carried_waits_forever_and_no_load_waits_not_at_all():
    for instances, offered in ((0, 1.0), (2, 2.0), (2, 9.0)):
        assert erlang_c(instances, offered) == 1
        assert mean_wait_s(instances, offered, 1.0) == inf
    assert erlang_c(3, 0.0) == mean_wait_s(3, 0.0, 1.0) == 0


def test_allen_and_cunneen_s_correction_scales_the_wait():
    assert mean_wait_s(4, 3.2, 1.0, variability=0.5) == pytest.approx(0.745541 / 2, abs=1e-6)


def test_a_line_is_found_again():
    line = fit([(10, rows, 0.002 + 0.001 * rows) for rows in (1.0, 4.0, 9.0)])
    assert line.alpha_s == pytest.approx(0.002)
    assert line.beta_s == pytest.approx(0.001)
    assert line.of(20) == pytest.approx(0.022)


def test_batches_of_one_size_tell_no_slope():
    line = fit([(5, 4.0, 0.01), (5, 4.0, 0.02)])
    assert (line.alpha_s, line.beta_s) == (pytest.approx(0.015), 0)


def test_a_falling_or_too_steep_line_is_noise():
    assert fit([(1, 1.0, 0.02), (1, 8.0, 0.01)]).beta_s == 0
    assert fit([(1, 1.0, 0.001), (1, 8.0, 0.08)]).alpha_s == pytest.approx(0)


def test_nothing_executed_is_no_line():
    assert fit([]) is None
