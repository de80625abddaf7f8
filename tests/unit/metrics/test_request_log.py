"""The rings of remembered requests: what is kept, for how long, and that memory has a bound."""

from __future__ import annotations

from proxy.core.batches import Run
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.metrics import requests
from proxy.metrics.requests import Kept, RequestLog

MINUTE_NS = 60 * NS_PER_S


class Rig:
    """A log and a clock; `answer` does as the line does."""

    def __init__(self) -> None:
        self.log = RequestLog()
        self.now_ns = NS_PER_S

    def answer(
        self, total_ns: int = NS_PER_MS, model: str = "digits", run: Run | None = None, request_id: str = ""
    ) -> bool:
        if not self.log.wants(model, run, total_ns, self.now_ns):
            return False
        self.log.keep(self._kept(total_ns, model, 200, run, request_id), self.now_ns)
        return True

    def error(self, model: str = "digits", status: int = 503) -> bool:
        if not self.log.wants_error(self.now_ns):
            return False
        self.log.keep(self._kept(NS_PER_MS, model, status, None, ""), self.now_ns)
        return True

    def _kept(self, total_ns: int, model: str, status: int, run: Run | None, request_id: str) -> Kept:
        number = self.log.next_mark().number
        arrival_ns = self.now_ns - total_ns
        return Kept(number, request_id, model, 1, "key:1", arrival_ns, total_ns, status, "", (), run=run)


def ids(found: list[Kept]) -> list[str]:
    return [kept.request_id for kept in found]


def test_the_newest_come_first_and_the_ring_forgets_the_oldest() -> None:
    rig = Rig()
    for number in range(requests.RECENT + 10):
        rig.now_ns += NS_PER_S // requests.RATE_PER_S
        rig.answer(request_id=str(number))
    found = ids(rig.log.recent())
    assert len(found) == requests.RECENT
    assert found[0] == str(requests.RECENT + 9)
    assert found[-1] == "10"


def test_a_quiet_model_keeps_every_request_however_busy_another_is() -> None:
    rig = Rig()
    for _ in range(20_000):
        rig.now_ns += NS_PER_MS // 10
        rig.answer(model="busy")
    assert rig.answer(model="quiet", request_id="one")
    for _ in range(20_000):
        rig.now_ns += NS_PER_MS // 10
        rig.answer(model="busy")
    assert ids(rig.log.recent("quiet")) == ["one"]


def test_at_most_the_rate_is_kept_and_a_burst() -> None:
    rig = Rig()
    kept = 0
    for _ in range(10_000):  # one second of 10 000 equally fast requests
        rig.now_ns += NS_PER_S // 10_000
        kept += rig.answer()
    # The first SLOWEST are the slowest so far, too; no later one is slower.
    assert kept <= requests.RATE_PER_S + requests.BURST + requests.SLOWEST + 1


def test_all_models_together_are_bounded() -> None:
    rig = Rig()
    for second in range(3):
        kept = 0
        for number in range(10_000):
            rig.now_ns += NS_PER_S // 10_000
            kept += rig.answer(model=f"m{number % 50}")
        if second:  # after the bursts of the first
            assert kept <= 3 * requests.TOTAL_RATE_PER_S  # those asked for; a part of them found no place
            assert len({one.model for one in rig.log.recent()}) == 50


def test_all_who_share_a_batch_with_one_that_is_kept_are_kept() -> None:
    rig = Rig()
    for _ in range(200):
        rig.answer()
    rig.now_ns += NS_PER_S
    run = Run(7, "digits/1#1", 8, 8)
    assert [rig.answer(run=run, request_id=f"r{n}") for n in range(8)] == [True] * 8
    assert ids(rig.log.recent())[:8] == [f"r{n}" for n in reversed(range(8))]


def test_the_slowest_are_caught_among_a_million_fast_ones_and_stay_for_minutes() -> None:
    rig = Rig()
    for number in range(20_000):
        rig.now_ns += NS_PER_MS // 10
        slow = number % 2_000 == 1_999
        rig.answer(NS_PER_S + number if slow else NS_PER_MS + number % 7, request_id=str(number) if slow else "fast")
    assert ids(rig.log.slowest(rig.now_ns))[:10] == [str(n) for n in range(19_999, 0, -2_000)]
    assert len(rig.log.slowest(rig.now_ns)) <= requests.SLOWEST


def test_where_latency_rises_steadily_so_that_each_is_the_slowest_few_are_kept_and_sharp_rises_all() -> None:
    rig = Rig()
    kept = 0
    for number in range(20_000):  # two seconds; each a microsecond slower than the one before
        rig.now_ns += NS_PER_S // 10_000
        kept += rig.answer(NS_PER_MS + number * 1_000)
    seconds = 2
    most = requests.BURST + requests.SLOW_BURST + 2 * seconds * requests.RATE_PER_S
    assert kept <= most + 20, "those due and the slowest are bounded, and there are few records"
    slowest = rig.log.slowest(rig.now_ns)[0].total_ns
    assert slowest * requests.RECORD_RATIO > NS_PER_MS + 19_999 * 1_000
    assert rig.answer(NS_PER_S, request_id="sharp")
    assert ids(rig.log.slowest(rig.now_ns))[0] == "sharp"


def test_the_slowest_of_the_window_before_are_still_there_and_older_ones_are_gone() -> None:
    rig = Rig()
    rig.answer(5 * NS_PER_S, request_id="old")
    rig.now_ns += requests.WINDOW_NS
    rig.answer(NS_PER_MS, request_id="new")
    assert ids(rig.log.slowest(rig.now_ns)) == ["old", "new"]
    rig.now_ns += requests.WINDOW_NS
    rig.answer(NS_PER_MS, request_id="newer")
    assert ids(rig.log.slowest(rig.now_ns)) == ["new", "newer"]


def test_after_a_long_silence_nothing_old_is_shown_among_the_slowest() -> None:
    rig = Rig()
    rig.answer(5 * NS_PER_S, request_id="old")
    rig.now_ns += 60 * MINUTE_NS
    assert ids(rig.log.slowest(rig.now_ns)) == []
    rig.answer(NS_PER_MS, request_id="new")
    assert ids(rig.log.slowest(rig.now_ns)) == ["new"]


def test_errors_are_kept_beside_the_sampled_ones_and_a_flood_of_them_is_bounded() -> None:
    rig = Rig()
    rig.answer(request_id="good")
    kept = sum(rig.error() for _ in range(10_000))
    assert 0 < kept <= requests.TOTAL_RATE_PER_S + 1
    found = rig.log.recent()
    assert sum(one.status == 503 for one in found) == requests.ERRORS
    assert "good" in ids(found)


def test_memory_is_bounded_in_models_too_and_silent_ones_make_room() -> None:
    rig = Rig()
    for number in range(requests.MAX_MODELS + 50):
        rig.answer(model=f"m{number}")
    assert len({kept.model for kept in rig.log.recent()}) == requests.MAX_MODELS
    assert not rig.answer(model="another")  # not even asked for while there is no place
    rig.now_ns += 2 * requests.WINDOW_NS
    assert rig.answer(model="late", request_id="late")
    assert ids(rig.log.recent("late")) == ["late"]


def test_everything_is_each_request_once() -> None:
    rig = Rig()
    rig.answer(request_id="both")
    rig.error()
    assert len(rig.log.everything(rig.now_ns)) == 2


def test_a_flood_of_errors_of_a_model_without_a_place_is_bounded_too() -> None:
    rig = Rig()
    for number in range(requests.MAX_MODELS):
        rig.answer(model=f"m{number}")
    asked = sum(rig.error(model="another") for _ in range(10_000))
    assert asked <= requests.TOTAL_RATE_PER_S + 1
