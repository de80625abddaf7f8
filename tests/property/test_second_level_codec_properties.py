"""What comes back from the shared cache is what was put there by a server of ours, or a miss (C5)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.second_level_codec import (
    EPOCH_BYTES,
    CorruptEntry,
    StoredAnswer,
    decode,
    derive_secret,
    encode,
    entry_name,
    epoch_name,
)
from proxy.core.batches import BatchOutputs
from proxy.core.tensors import DATATYPES, Tensor, join_elements

SECRET = derive_secret("a signing key of some length")
NAME = entry_name(SECRET, b"k" * 24)


@st.composite
def tensors(draw, rows):
    datatype = draw(st.sampled_from(sorted(DATATYPES)))
    width = draw(st.integers(0, 4))
    element_bytes = DATATYPES[datatype].size_bytes
    if element_bytes:
        size = rows * width * element_bytes
        data = draw(st.binary(min_size=size, max_size=size))
    else:
        data = join_elements(draw(st.lists(st.binary(max_size=5), min_size=rows * width, max_size=rows * width)))
    return Tensor(draw(st.text(max_size=20).filter(_is_writable)), datatype, (rows, width), data)


def _is_writable(text: str) -> bool:
    return text.isprintable()


@st.composite
def answers(draw):
    rows = draw(st.integers(1, 4))
    return BatchOutputs(tuple(draw(st.lists(tensors(rows), max_size=3))), rows, batched=draw(st.booleans()))


ONE = BatchOutputs(
    (Tensor("y", "FP32", (1, 3), bytes(range(12))), Tensor("z", "INT8", (1, 1), b"\x07")), 1, batched=True
)
EPOCH = bytes(range(EPOCH_BYTES))


def sealed(secret=SECRET, outputs=ONE) -> bytes:
    return encode(secret, NAME, StoredAnswer(outputs, 1, 2, EPOCH))


@settings(max_examples=200, deadline=None)
@given(answers(), st.binary(min_size=EPOCH_BYTES, max_size=EPOCH_BYTES), st.integers(0, 2**50), st.integers(0, 2**50))
def test_an_answer_comes_back_as_it_was(outputs, epoch, stored_unix_ms, saved_ns):
    answer = StoredAnswer(outputs, stored_unix_ms, saved_ns, epoch)
    stored = decode(SECRET, NAME, encode(SECRET, NAME, answer))
    assert stored.outputs.tensors == outputs.tensors
    assert (stored.outputs.rows, stored.outputs.batched) == (outputs.rows, outputs.batched)
    assert (stored.epoch, stored.stored_unix_ms, stored.saved_ns) == (epoch, stored_unix_ms, saved_ns)


def test_c5_no_byte_can_be_altered():
    value = sealed()
    for at in range(len(value)):
        for flip in (1, 0x80, 0xFF):
            altered = bytearray(value)
            altered[at] ^= flip
            with pytest.raises(CorruptEntry):
                decode(SECRET, NAME, bytes(altered))


def test_c5_nothing_can_be_cut_off_or_added():
    value = sealed()
    for end in range(len(value)):
        with pytest.raises(CorruptEntry):
            decode(SECRET, NAME, value[:end])
    with pytest.raises(CorruptEntry):
        decode(SECRET, NAME, value + b"\0")


def test_c5_another_entrys_value_does_not_fit_nor_that_of_a_server_with_another_secret():
    value = sealed()
    with pytest.raises(CorruptEntry):
        decode(SECRET, entry_name(SECRET, b"j" * 24), value)
    stranger = derive_secret("another signing key")
    with pytest.raises(CorruptEntry):
        decode(SECRET, NAME, sealed(stranger))
    assert entry_name(stranger, b"k" * 24) != NAME


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_c5_arbitrary_bytes_are_never_an_answer(value):
    with pytest.raises(CorruptEntry):
        decode(SECRET, NAME, value)


def test_sealed_nonsense_of_a_server_that_writes_otherwise_is_no_answer_either():
    value = sealed(outputs=BatchOutputs((Tensor("y", "FP32", (1, 3), b"short"),), 1, batched=True))
    with pytest.raises(CorruptEntry):
        decode(SECRET, NAME, value)


def test_names_of_entries_and_of_epochs_never_meet():
    assert entry_name(SECRET, b"model") != epoch_name(SECRET, "model")
