"""What the charts' scripts decide without a page, run by node: ranges, rows, gaps, comparison, export."""

from __future__ import annotations

import shutil

import pytest
from live_cast import report

from models_admin.dashboard.status import loaded
from models_admin.live import messages
from tests.unit.dashboard.test_live_script import run

pytestmark = [pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"), pytest.mark.slow]
RANGES = 'import * as ranges from "./ranges.js";\n'
ROWS = 'import * as rows from "./model_rows.js";\nimport { TimeStore } from "./store.js";\n'


def say(script: str) -> str:
    return f"console.log(JSON.stringify({script}));"


@pytest.mark.parametrize(
    ("search", "state"),
    [
        ("", {"range": "live", "from": None, "to": None, "compare": ""}),
        ("?range=24h&compare=earlier", {"range": "24h", "from": None, "to": None, "compare": "earlier"}),
        ("?from=1000&to=1600&compare=3,1", {"range": "custom", "from": 1000, "to": 1600, "compare": "3,1"}),
        ("?compare=day", {"range": "live", "from": None, "to": None, "compare": "day"}),
        ("?compare=%40900", {"range": "live", "from": None, "to": None, "compare": "@900"}),
        ("?range=century&compare=evil", {"range": "live", "from": None, "to": None, "compare": ""}),
        ("?from=1600&to=1000", {"range": "live", "from": None, "to": None, "compare": ""}),
        ("?from=x&to=NaN", {"range": "live", "from": None, "to": None, "compare": ""}),
    ],
)
def test_a_range_is_read_from_the_address(search: str, state: dict[str, object]) -> None:
    assert run(RANGES + say("ranges.readRange(given.search)"), search=search) == state


@pytest.mark.parametrize("search", ["", "?range=7d", "?from=1000&to=1600&compare=3%2C1", "?range=1h&compare=earlier"])
def test_a_range_goes_into_the_address_and_back(search: str) -> None:
    script = RANGES + say("ranges.writeRange(ranges.readRange(given.search), given.search)")
    assert run(script, search=search) == search


def test_what_a_range_is_compared_with_lies_so_many_seconds_before_it() -> None:
    compared = ["earlier", "day", "week", "@400", "3,1", ""]
    script = RANGES + say("given.compared.map((one) => ranges.shiftOf(one, [1000, 1300]))")
    assert run(script, compared=compared) == [300, 86_400, 604_800, 600, None, None]


def test_other_parts_of_the_address_stay() -> None:
    script = RANGES + say("ranges.writeRange(ranges.readRange('?x=1&range=7d'), '?x=1&range=7d')")
    assert run(script) == "?x=1&range=7d"


def test_a_drag_becomes_a_range_of_at_least_five_seconds() -> None:
    script = RANGES + say("[[100.2, 160.7], [100, 100.5]].map(([from, to]) => ranges.zoomed({}, from, to, 900))")
    wide, narrow = run(script)
    assert (wide["range"], wide["from"], wide["to"]) == ("custom", 100, 161)
    assert narrow["to"] - narrow["from"] >= 5


def test_however_far_out_a_range_ends_now_and_is_no_longer_than_what_can_be_asked_for() -> None:
    now_s, longest_s = 1_800_000_000, 400 * 86_400
    script = (
        RANGES
        + """
    let state = ranges.zoomed({}, given.now - 60, given.now, given.now);
    for (let step = 0; step < 40; step += 1) {
      const half = (state.to - state.from) / 2;
      state = ranges.zoomed(state, state.from - half, state.to + half, given.now);
    }
    const past = ranges.zoomed({}, -90, 30, given.now);
    const future = ranges.zoomed({}, given.now + 60, given.now + 90, given.now);
    """
        + say("[state, past, future]")
    )
    out, past, future = ((one["from"], one["to"]) for one in run(script, now=now_s))
    assert out == (now_s - longest_s, now_s)
    assert past == (1, 30)
    assert future == (now_s - 5, now_s)


def test_a_comparison_is_read_anew_often_only_where_it_is_short() -> None:
    states = [
        {"range": name, "compare": compare}
        for compare in ("", "earlier")
        for name in ("live", "15m", "1h", "24h", "custom")
    ]
    said = run(RANGES + say("[given.states.map(ranges.refreshMs), ranges.REFRESHES_MS]"), states=states)
    assert said[0] == [None, None, None, 60_000, None, 5_000, 60_000, 60_000, 60_000, None]
    assert set(said[0]) - {None} == set(said[1])


def test_a_moment_that_is_half_typed_is_nothing_to_compare_with() -> None:
    moments = "[Date.parse('0020-01-01') / 1000, Date.parse('') / 1000, 0, 1700000000.4].map(ranges.comparedAt)"
    assert run(RANGES + say(moments)) == [None, None, None, "@1700000000"]


def test_a_missing_stretch_is_a_gap_and_late_or_double_rows_are_left_out() -> None:
    script = (
        ROWS
        + """
    const store = new TimeStore(["rps"], 1);
    for (const [at, rps] of [[10, 1], [11, 2], [11, 9], [20, 3], [19, 9]]) store.push(at, { rps });
    """
        + say("[store.times, store.column('rps')]")
    )
    assert run(script) == [[10, 11, 12, 20], [1, 2, None, 3]]


def test_a_comparison_lies_on_the_times_of_what_it_is_compared_with() -> None:
    script = (
        ROWS
        + """
    const now = new TimeStore(["rps"], 1), earlier = new TimeStore(["rps"], 1);
    for (const at of [100, 101, 102, 103]) now.push(at, { rps: at });
    for (const [at, rps] of [[40, 7], [41, 8], [43, 9]]) earlier.push(at, { rps });
    """
        + say("earlier.onto(now.times, 'rps', 60)")
    )
    assert run(script) == [7, 8, 9, 9]


def test_a_second_becomes_a_row_with_executions_by_size() -> None:
    second = {
        "requests": 20, "errors": 0, "rejections": 1, "cache_hits": 5, "cache_misses": 15, "executions": 4,
        "inferences": 15, "p50_ms": 1.5, "p95_ms": 2, "p99_ms": 3, "queue_mean_ms": 0.4, "compute_mean_ms": 0.9,
        "queue_depth": 2, "in_flight": 3, "instances": 2, "cache_bytes": 1048576,
        "rows_by_bits": {"0": 1, "2": 2, "9": 4},
    }  # fmt: skip
    row = run(ROWS + say("rows.rowOf(given.second, 2)"), second=second)
    assert (row["rps"], row["batch"], row["hit"], row["cache_mib"]) == (10, 3.75, 0.25, 1)
    assert (row["queue_ms"], row["compute_ms"]) == (0.4, 0.9)
    sizes = [row[key] for key in ("size_1", "size_2", "size_4", "size_8", "size_16", "size_more")]
    assert sizes == [0.5, 0, 1, 0, 0, 2]


def test_numbers_are_exported_as_csv() -> None:
    script = (
        ROWS
        + """
    const store = new TimeStore(["rps", "p50_ms"], 1);
    store.push(0, { rps: 3, p50_ms: null });
    """
        + say("store.csv()")
    )
    assert run(script) == "at,rps,p50_ms\n1970-01-01T00:00:00.000Z,3,\n"


def test_what_it_is_compared_with_is_exported_beside_it() -> None:
    script = (
        ROWS
        + """
    const store = new TimeStore(["rps"], 1), earlier = new TimeStore(["rps"], 1);
    store.push(60, { rps: 3 });
    earlier.push(0, { rps: 5 });
    """
        + say("store.csv({ store: earlier, shiftS: 60 })")
    )
    assert run(script) == "at,rps,compared_rps\n1970-01-01T00:01:00.000Z,3,5\n"


def test_a_comparison_says_how_much_more_or_less_each_figure_is() -> None:
    whole = {
        "requests": 200, "errors": 0, "rejections": 0, "p50_ms": 2.0, "p95_ms": 3.0, "p99_ms": 4.0,
        "queue_mean_ms": None, "compute_mean_ms": 1.0, "inferences": 40, "executions": 20,
        "cache_hits": 1, "cache_misses": 3,
    }  # fmt: skip
    other = {**whole, "requests": 190, "errors": 10, "p50_ms": 3.0, "compute_mean_ms": 9.0, "executions": 0}
    script = 'import { comparedRows } from "./comparison.js";\n' + say("comparedRows(given.before, given.now)")
    rows = {row["key"]: row for row in run(script, before=whole, now=other)}
    assert rows["requests"]["change"] == {"percent": pytest.approx(-5)}
    assert (rows["failed"]["now"], rows["failed"]["change"]) == (0.05, {"points": pytest.approx(5)})
    assert rows["refused"]["change"] == {"percent": 0}
    assert rows["p50"]["change"] == {"percent": pytest.approx(50)}
    assert rows["compute"]["change"] == {"times": 9}
    assert (rows["wait"]["before"], rows["wait"]["change"]) == (None, None)
    assert (rows["batch"]["before"], rows["batch"]["now"], rows["batch"]["change"]) == (2, None, None)
    nothing = run(script, before=None, now=whole)
    assert [row["before"] for row in nothing] == [None] * len(nothing)


def test_the_page_and_the_server_say_alike_which_versions_are_loaded_and_how_they_stand() -> None:
    seconds = [report(1, digits=3, other=1), report(1)]
    for second in seconds:
        versions = messages.state(second)["versions"]
        script = 'import { loaded } from "./versions.js";\n' + say("loaded(given.versions, 'digits')")
        assert run(script, versions=versions) == loaded("digits", second)
    assert loaded("digits", None) == ""


def test_the_default_is_the_version_that_calls_go_to() -> None:
    versions = [
        {"model": "other", "version": 9, "is_default": True},
        {"model": "digits", "version": 1, "is_default": False},
        {"model": "digits", "version": 2, "is_default": True},
    ]
    script = 'import { defaultOf } from "./versions.js";\n'
    assert run(script + say("defaultOf(given.versions, 'digits').version"), versions=versions) == 2
    assert run(script + say("defaultOf(given.versions, 'none') ?? null"), versions=versions) is None
