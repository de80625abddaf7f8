"""Quantiles read from the histogram are close to those of the values themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.metrics import histogram

durations = st.integers(histogram.MIN_NS, histogram.MAX_NS)


@given(durations)
def test_a_value_is_taken_for_one_at_most_1_6_percent_away(value_ns):
    taken_ns = histogram.middle_ns(histogram.index(value_ns))
    assert abs(taken_ns - value_ns) <= value_ns * 0.016


@given(st.lists(durations, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_at_most_1_6_percent_off(values_ns, q):
    counts: dict[int, int] = {}
    for value_ns in values_ns:
        bucket = histogram.index(value_ns)
        counts[bucket] = counts.get(bucket, 0) + 1
    ordered = sorted(values_ns)
    exact_ns = ordered[max(1, histogram._ceil(q * len(ordered))) - 1]
    assert abs(histogram.quantile(counts, q) - exact_ns) <= exact_ns * 0.016


@given(st.lists(durations), st.lists(durations))
def test_merged_windows_are_the_window_of_both(one, other):
    def counts(values_ns):
        result: dict[int, int] = {}
        for value_ns in values_ns:
            histogram.merge(result, {histogram.index(value_ns): 1})
        return result

    merged = counts(one)
    histogram.merge(merged, counts(other))
    assert merged == counts(one + other)
