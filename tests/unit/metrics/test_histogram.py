"""The histogram's layout, by table."""

from __future__ import annotations

import pytest

from proxy.core.units import NS_PER_S
from proxy.metrics import histogram


def test_buckets_join_without_gap_or_overlap():
    for bucket in range(histogram.BUCKETS - 1):
        assert histogram.upper_ns(bucket) + 1 == histogram.lower_ns(bucket + 1)
        assert histogram.index(histogram.lower_ns(bucket)) == bucket
        assert histogram.index(histogram.upper_ns(bucket)) == bucket


def test_the_range_is_one_microsecond_to_more_than_an_hour():
    assert histogram.lower_ns(0) <= 1_024
    assert histogram.upper_ns(histogram.BUCKETS - 1) == histogram.MAX_NS > 3_600 * NS_PER_S


@pytest.mark.parametrize("value_ns", [-5, 0, 1, 1_023])
def test_what_is_shorter_falls_into_the_first_bucket(value_ns):
    assert histogram.index(value_ns) == 0


@pytest.mark.parametrize("value_ns", [2**42, 2**80])
def test_what_is_longer_falls_into_the_last_bucket(value_ns):
    assert histogram.index(value_ns) == histogram.BUCKETS - 1


def test_no_values_have_no_quantile():
    assert histogram.quantile({}, 0.5) is None
    assert histogram.quantiles({3: 0}, (0.5, 0.9)) == [None, None]


def test_quantiles_take_the_value_at_their_rank():
    counts = {10: 19, 20: 1}
    middle = histogram.middle_ns
    assert histogram.quantiles(counts, (0.0, 0.5, 0.95, 0.951, 1.0)) == [
        middle(10),
        middle(10),
        middle(10),
        middle(20),
        middle(20),
    ]


def test_merging_adds():
    into = {1: 1, 2: 2}
    histogram.merge(into, {2: 3, 4: 4})
    assert into == {1: 1, 2: 5, 4: 4}


def test_counts_come_back_from_json():
    assert histogram.from_json({"3": 4}) == {3: 4}
    for broken in ({"x": 1}, {"1024": 1}, {"-1": 1}, {"3": -1}, {"3": 1.5}, {"3": True}):
        with pytest.raises(ValueError):
            histogram.from_json(broken)
