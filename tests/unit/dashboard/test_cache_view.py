"""What the cache's page says of a report and of its curve."""

from __future__ import annotations

import pytest

from models_admin.dashboard.cache_view import curve_view, next_step_words, second_words, state_words
from models_admin.selectors.cache_reports import at_size
from proxy.core.hit_ratio import hit_ratio
from proxy.core.reports import CacheReport, CurvePoint, SecondLevelReport
from proxy.core.units import BYTES_PER_MIB

MIB = BYTES_PER_MIB


def report(**fields: object) -> CacheReport:
    values: dict[str, object] = {
        "state": "on",
        "bytes": 10,
        "max_bytes": 64 * MIB,
        "entries": 1,
        "eviction": "lru",
        "hits": 1,
        "misses": 3,
        "insertions": 3,
        "evictions": 0,
        "expirations": 0,
    }
    return CacheReport(**{**values, **fields})  # type: ignore[arg-type]


def curve(*points: tuple[int, float, float]) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(mib * MIB, ratio, saved) for mib, ratio, saved in points)


GROWING = curve((16, 0.2, 100.0), (64, 0.5, 250.0), (128, 0.8, 400.0), (256, 0.9, 450.0))


@pytest.mark.parametrize(
    ("mib", "ratio", "saved"), [(8, 0.1, 50.0), (16, 0.2, 100.0), (96, 0.65, 325.0), (256, 0.9, 450.0), (999, 0.9, 450)]
)
def test_between_known_sizes_in_proportion_and_beyond_the_last_no_more(mib: int, ratio: float, saved: float) -> None:
    point = at_size(GROWING, mib * MIB)
    assert (point.hit_ratio, point.saved_ms_per_s) == (pytest.approx(ratio), pytest.approx(saved))


@pytest.mark.parametrize(
    ("mib", "words"),
    [
        (64, "The next 64 MiB would save about 150 ms of model time a second."),
        (192, "The next 64 MiB would save about 25 ms of model time a second."),
        (256, "The next 64 MiB would save nothing more; half the size would lose about 50 ms of model time a second."),
        (1024, "The next 64 MiB would save nothing more; half the size would save as much."),
    ],
)
def test_the_words_on_the_next_step_follow_the_curve(mib: int, words: str) -> None:
    assert next_step_words(GROWING, mib * MIB) == words


def test_the_present_size_is_a_point_of_the_drawn_line() -> None:
    view = curve_view(report(max_bytes=96 * MIB, curve=GROWING, sample_ratio=0.1))
    assert view is not None
    drawn = view.as_json()
    assert drawn["sizes"] == [mib * MIB for mib in (16, 64, 96, 128, 256)]
    assert drawn["misses"] == pytest.approx([0.8, 0.5, 0.35, 0.2, 0.1])
    assert drawn["now"] == {"size": 96 * MIB, "miss": pytest.approx(0.35)}
    assert view.sample_percent == pytest.approx(10)


@pytest.mark.parametrize("points", [(), curve((64, 0.5, 1.0))])
def test_too_little_known_is_no_curve(points: tuple[CurvePoint, ...]) -> None:
    assert curve_view(report(curve=points)) is None


def test_nothing_looked_up_is_no_ratio() -> None:
    assert hit_ratio(0, 0) is None
    assert hit_ratio(1, 3) == 0.25


def test_a_reason_of_the_report_goes_before_our_words() -> None:
    assert state_words(report(state="bypassed", message="Hits save 1 ms, looking costs 3.")).startswith("Hits save")
    assert "straight to the model" in state_words(report(state="bypassed"))
    assert state_words(report(state="unheard of")) == ""


def test_the_second_level_in_words() -> None:
    assert "no Redis" in second_words(report(), wanted=True)
    assert "Not used" in second_words(None, wanted=False)
    assert second_words(report(second_level=SecondLevelReport(state="open", message="It is slow.")), wanted=True) == (
        "It is slow."
    )
    assert "shared Redis" in second_words(report(second_level=SecondLevelReport()), wanted=True)
