"""BYTES data: walked by its lengths, never believed before it was walked to its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.batches import BatchOutputs
from proxy.core.tensors import DATATYPES, Tensor, check_elements, join_elements, row_offsets, split_elements

AB = b"\x01\x00\x00\x00a\x02\x00\x00\x00bc"


@given(st.lists(st.binary(max_size=20)))
def test_elements_survive_joining_and_splitting(elements: list[bytes]) -> None:
    data = join_elements(elements)
    check_elements(data, len(elements))
    assert split_elements(data) == elements
    assert split_elements(memoryview(data)) == elements


@given(st.binary(max_size=64), st.integers(0, 20))
def test_any_bytes_are_accepted_only_if_they_join_again_to_themselves(data: bytes, elements: int) -> None:
    try:
        check_elements(data, elements)
    except ValueError:
        with pytest.raises(ValueError, match="BYTES"):
            row_offsets(data, elements, 1)
        return
    found = split_elements(data)
    assert len(found) == elements
    assert join_elements(found) == data


RUNS = st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3)), min_size=1, max_size=6)


@given(RUNS, st.integers(0, 2_000), st.integers(0, 255))
def test_runs_of_one_length_are_walked_as_one_by_one(runs: list[tuple[int, bytes]], place: int, value: int) -> None:
    """Sound data, and data of which one byte was changed, maybe in the middle of what is compared all at once."""
    elements = [element for count, element in runs for _ in range(count)]
    sound = join_elements(elements)
    check_elements(memoryview(sound), len(elements))
    changed = bytearray(sound)
    if changed:
        changed[place % len(changed)] = value
    try:
        found = split_elements(changed)
    except ValueError:
        found = []
    if len(found) == len(elements):
        assert row_offsets(changed, len(elements), 1)[-1] == len(changed)
        check_elements(changed, len(elements))
    else:
        with pytest.raises(ValueError, match="BYTES"):
            check_elements(changed, len(elements))


@pytest.mark.parametrize(
    ("data", "elements", "words"),
    [
        (AB, 1, "follow the last"),
        (AB, 3, "take at least 12 bytes, got 11"),
        (AB[:-1], 2, "reaches behind"),
        (b"\xff\xff\xff\xff", 1, "reaches behind"),
        (b"\x00" * 5, 1, "1 bytes follow"),
        (b"\x01\x00\x00\x00abcd", 2, "reaches behind"),
        (b"", 1, "at least 4 bytes, got 0"),
        (b"", 2**62, "at least"),
    ],
)
def test_r15_lengths_that_contradict_the_tensor_are_refused_in_words(data: bytes, elements: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_elements(data, elements)


def test_rows_begin_where_the_elements_before_them_end() -> None:
    data = join_elements([b"", b"one", b"22", b"", b"4", b"five5"])
    assert row_offsets(data, 3, 2) == [0, 11, 21, 35]
    assert row_offsets(b"", 0, 2) == [0]
    assert row_offsets(b"", 3, 0) == [0, 0, 0, 0]


def test_a_share_of_strings_is_cut_between_elements() -> None:
    data = join_elements([b"", b"one", b"22", b"", b"4", b"five5"])
    outputs = BatchOutputs((Tensor("words", "BYTES", (3, 2), data),), 3, batched=True)
    share = outputs.share(1, 2)
    assert share.tensors[0].shape == (2, 2)
    assert split_elements(share.tensors[0].data) == [b"22", b"", b"4", b"five5"]
    assert split_elements(outputs.rows_of(outputs.tensors[0], 0, 1)) == [b"", b"one"]


def test_bytes_have_no_size_of_their_own_and_bf16_has_two() -> None:
    assert DATATYPES["BYTES"].is_variable_size
    assert DATATYPES["BYTES"].min_size_bytes == 4
    assert DATATYPES["BF16"].min_size_bytes == DATATYPES["BF16"].size_bytes == 2
    assert Tensor("words", "BYTES", (2,), AB).size_bytes == len(AB)
