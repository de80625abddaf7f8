"""Requests whose answers may differ have different keys."""

from __future__ import annotations

import dataclasses

import pytest

from proxy.cache.cache import ResultCache
from proxy.cache.key import KEY_BYTES, begun_key, request_key, version_part
from proxy.core.requests import InferenceRequest
from proxy.core.tensors import Tensor, join_elements
from proxy.testing.clock import ManualClock
from proxy.testing.instances import fake_version

VERSION = fake_version()
BEGUN = begun_key(VERSION, "")


def key(*tensors, outputs=None, begun=BEGUN):
    return request_key(begun, tensors, outputs)


def tensor(name="x", datatype="FP32", shape=(1, 2), data=b"12345678"):
    return Tensor(name, datatype, shape, data)


def strings(*elements):
    return tensor(datatype="BYTES", shape=(1, 2), data=join_elements(elements))


def test_the_same_request_has_the_same_key_whatever_holds_its_bytes():
    assert key(tensor()) == key(tensor(data=bytearray(b"12345678"))) == key(tensor(data=memoryview(b"12345678")))
    assert len(key(tensor())) == KEY_BYTES


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((tensor(name="ab"), tensor(name="c")), (tensor(name="a"), tensor(name="bc"))),
        ((tensor(shape=(2, 3)),), (tensor(shape=(3, 2)),)),
        ((tensor(shape=(6,)),), (tensor(shape=(6, 1)),)),
        ((tensor(datatype="FP32"),), (tensor(datatype="INT32"),)),
        ((tensor(data=b"ab"), tensor(data=b"c")), (tensor(data=b"a"), tensor(data=b"bc"))),
        ((tensor(data=b"a"),), (tensor(data=b"a"), tensor(data=b""))),
        ((tensor(name="x"), tensor(name="y")), (tensor(name="y"), tensor(name="x"))),
        ((tensor(data=b"\x00"),), (tensor(data=b"\x00\x00"),)),
        ((strings(b"ab", b"c"),), (strings(b"a", b"bc"),)),
        ((strings(b"", b"abc"),), (strings(b"abc", b""),)),
        ((strings(b"a\x01\x00\x00\x00b"),), (strings(b"a", b"b"),)),
    ],
)
def test_c1_pairs_that_meet_under_naive_joins_have_different_keys(one, other):
    assert key(*one) != key(*other)


def test_requested_outputs_are_part_of_the_key_but_not_their_order():
    assert key(tensor(), outputs=("a", "b")) == key(tensor(), outputs=("b", "a"))
    assert len({key(tensor(), outputs=o) for o in (None, (), ("a",), ("b",), ("a", "b"), ("ab",))}) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "other"},
        {"format": "onnx"},
        {"options": {"method": "predict"}},
        {"stateful": True},
        {"batchable": False},
        {"model": "other"},
    ],
)
def test_c2_whatever_changes_what_a_version_answers_changes_its_keys(change):
    other = dataclasses.replace(VERSION, **change)
    assert key(tensor(), begun=begun_key(other, "")) != key(tensor())


def test_c2_the_number_of_a_version_is_not_what_tells_it_apart():
    again = dataclasses.replace(VERSION, number=7)
    assert key(tensor(), begun=begun_key(again, "")) == key(tensor())


def test_options_do_not_depend_on_their_order():
    one = dataclasses.replace(VERSION, options={"a": "1", "b": "2"})
    other = dataclasses.replace(VERSION, options={"b": "2", "a": "1"})
    assert version_part(one) == version_part(other)


def test_id_priority_timeout_and_caller_are_not_in_the_key():
    cache = ResultCache(ManualClock())
    plain = InferenceRequest(VERSION, (tensor(),), 1, 0, 10)
    marked = InferenceRequest(VERSION, (tensor(),), 1, 5, 99, request_id="r", priority=3, principal_id="someone")
    assert cache.key(plain) == cache.key(marked) == key(tensor())


def test_the_cache_tells_versions_apart_that_are_equal_objects_no_longer():
    cache = ResultCache(ManualClock())
    keys = set()
    for number in range(3_000):
        version = dataclasses.replace(VERSION, digest=str(number))
        keys.add(cache.key(InferenceRequest(version, (tensor(),), 1, 0, 10)))
    assert len(keys) == 3_000
