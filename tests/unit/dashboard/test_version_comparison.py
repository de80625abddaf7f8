"""What is same, changed, added, removed and unknown between two sets of facts."""

from __future__ import annotations

from models_admin.selectors.comparison import Change, section, unreadable


def changes(before: dict[str, object], after: dict[str, object]) -> list[tuple[str, str]]:
    return [(row.name, row.change.value) for row in section("x", before, after).rows]


def test_each_fact_is_same_changed_added_or_removed_in_the_order_of_the_first() -> None:
    before = {"image": {"datatype": "FP32", "shape": [-1, 64]}, "mask": {"datatype": "BOOL", "shape": [-1]}, "z": 1}
    after = {"new": 2, "z": 1, "image": {"datatype": "FP32", "shape": [-1, 128]}}
    assert changes(before, after) == [("image", "changed"), ("mask", "removed"), ("z", "same"), ("new", "added")]


def test_what_one_side_does_not_know_is_neither_the_same_nor_changed() -> None:
    assert changes({"p99_ms": None, "a": 0}, {"p99_ms": 3.0, "a": None}) == [("p99_ms", "unknown"), ("a", "unknown")]
    assert not section("x", {"p99_ms": None}, {"p99_ms": 3.0}).differs


def test_zero_empty_and_false_are_values() -> None:
    assert changes({"a": 0, "b": "", "c": False}, {"a": 0, "b": "", "c": True}) == [
        ("a", "same"), ("b", "same"), ("c", "changed")
    ]  # fmt: skip


def test_long_sections_show_what_differs_and_count_everything() -> None:
    before = {f"w{number}": number for number in range(1_000)}
    after = {**before, **{f"w{number}": -1 for number in range(500)}}
    compared = section("tensors", before, after, only_differing=True, most=200)
    assert len(compared.rows) == 200 and {row.change for row in compared.rows} == {Change.CHANGED}
    assert compared.counts == {Change.SAME: 500, Change.CHANGED: 500}
    assert compared.left_out == 800 and compared.differs


def test_nothing_can_be_said_of_what_cannot_be_read() -> None:
    assert unreadable("contents").rows == ()
    assert not unreadable("contents").differs
