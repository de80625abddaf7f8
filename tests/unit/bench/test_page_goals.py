"""What `bench/pages` says of its goals."""

from __future__ import annotations

from typing import Any

import pytest

from bench.page_goals import table, verdicts


def dashboards(again: float, ratio: float) -> dict[str, Any]:
    ratios = {"none again": {"p99_ms": again}, "all": {"p99_ms": ratio}}
    return {"dashboards": {"sockets": 200, "ratios": ratios}}


@pytest.mark.parametrize(
    ("again", "ratio", "word"),
    [
        (1.0, 1.1, "held"),
        (1.3, 1.05, "not decided"),
        (1.05, 1.2, "missed"),
        (1.3, 1.2, "not decided"),
        (0.61, 1.23, "not decided"),
    ],
)
def test_a_difference_that_equal_turns_have_too_decides_nothing(again: float, ratio: float, word: str) -> None:
    assert [row[-1] for row in verdicts(dashboards(again, ratio))] == [word]


def test_the_slowest_page_and_the_largest_shift_count() -> None:
    paints = {
        "/": {"first_contentful_paint_ms": 400, "layout_shift": 0.06},
        "/keys/": {"first_contentful_paint_ms": 999, "layout_shift": 0},
    }
    assert [row[-1] for row in verdicts({"paints": paints})] == ["held", "missed"]


def test_only_what_was_measured_is_judged_and_each_row_has_its_bound() -> None:
    found = {"list": {"page_ms_median": 428.1}, "update": {"frame_ms": 12.5}}
    assert table(found).splitlines()[2:] == [
        "| overview with 1,000 models on the server | 428.1 | < 100 ms | missed |",
        "| a live update of 1,000 models in the browser | 12.5 | < 30 ms | held |",
    ]
