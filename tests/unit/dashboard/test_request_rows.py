"""Bars of requests: pieces touch, stay on their track, and no part that has any time is invisible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models_admin.dashboard.request_rows import KINDS, LEAST_BAR, LEGEND, WIDTH, pieces_of, rows_of
from proxy.core.request_reports import PARTS, Companion, RequestReport


def report(parts: dict[str, float], number: int = 1, **values: object) -> RequestReport:
    return RequestReport(
        number, f"r{number}", "digits", 1, "key:1", 1_800_000_000.25, 200, sum(parts.values()), tuple(parts.items()),
        **values,  # type: ignore[arg-type]
    )  # fmt: skip


def test_every_part_has_a_name_words_and_a_colour_of_the_legend() -> None:
    assert set(KINDS) == set(PARTS)
    assert {kind for _, _, kind in KINDS.values()} == {kind for kind, _ in LEGEND}


def test_bars_share_one_scale_or_fill_the_width() -> None:
    slow, fast = report({"compute": 100.0}), report({"compute": 25.0}, 2)
    common = rows_of([slow, fast], {"key:1": "key:ci"}, is_common=True)
    assert [row.pieces[-1].x + row.pieces[-1].width for row in common] == [WIDTH, WIDTH // 4]
    assert common[0].caller == "key:ci"
    own = rows_of([slow, fast], {}, is_common=False)
    assert [row.pieces[-1].x + row.pieces[-1].width for row in own] == [WIDTH, WIDTH]
    assert own[0].caller == "key:1"


@given(
    st.lists(st.tuples(st.sampled_from(PARTS), st.floats(1e-6, 7e4)), min_size=1, max_size=13, unique_by=lambda p: p[0])
)
def test_pieces_touch_and_stay_on_the_track(parts: list[tuple[str, float]]) -> None:
    pieces = pieces_of(report(dict(parts)), 1e6)
    end = 0
    for piece in pieces:
        assert piece.x == end
        assert piece.width >= 1
        end = piece.x + piece.width
    assert LEAST_BAR <= end <= WIDTH + 1


def test_a_batch_says_how_many_of_it_are_not_kept() -> None:
    row = rows_of([report({"compute": 1.0}, batch_requests=8, companions=(Companion(2, "b"),))], {}, is_common=True)[0]
    assert row.unkept == 6
