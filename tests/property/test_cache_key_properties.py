"""C1 to C4 and C7: whose answers may meet, and which are kept at all."""

from __future__ import annotations

import sys
from dataclasses import replace
from math import prod

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxy.cache.cache import ResultCache
from proxy.cache.not_a_number import holds_nan
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, Eviction
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.tensors import Tensor
from proxy.testing.clock import ManualClock
from proxy.testing.instances import fake_version

VERSION = fake_version("m", 1)
VERSIONS = [
    VERSION,
    replace(VERSION, digest="other"),
    replace(VERSION, format="onnx"),
    replace(VERSION, options={"a": "b"}),
    replace(VERSION, options={"ab": ""}),
    replace(VERSION, batchable=False),
]
TENANTS = st.sampled_from(["", "a", "b", "ab", "a\x00", "\x01", "é"])
BYTES = st.binary(max_size=12)


def cache(**policy):
    made = ResultCache(ManualClock())
    made.configure("m", CachePolicy(**policy))
    return made


def request(version=VERSION, tenant="", inputs=(), outputs=None, **more):
    return InferenceRequest(version, tuple(inputs), 1, 0, 10, tenant=tenant, outputs=outputs, **more)


def tensor(name="x", data=b"", datatype="UINT8", shape=None):
    return Tensor(name, datatype, (len(data),) if shape is None else shape, data)


def answer(data=b"\x00" * 8, datatype="UINT8"):
    return BatchOutputs((Tensor("y", datatype, (1, len(data)), data),), 1, batched=True)


names = st.sampled_from(["", "a", "b", "ab", "\x00"])
inputs = st.lists(st.builds(tensor, names, BYTES, st.sampled_from(["UINT8", "INT8", "BOOL"])), max_size=3)
askings = st.tuples(st.sampled_from(VERSIONS), TENANTS, inputs, st.none() | st.lists(names, max_size=3).map(tuple))


@settings(max_examples=400, deadline=None)
@given(askings, askings, st.booleans())
def test_c1_c2_c3_requests_share_a_key_exactly_where_all_that_matters_is_the_same(one, other, is_shared):
    made = cache(is_shared=is_shared)

    def canonical(asking):
        version, tenant, tensors, wanted = asking
        return (
            VERSIONS.index(version),
            "" if is_shared else tenant,
            tensors,
            None if wanted is None else sorted(set(wanted)),
        )

    is_same_key = made.key(request(*one)) == made.key(request(*other))
    assert is_same_key == (canonical(one) == canonical(other))


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_c1_a_boundary_between_parts_cannot_be_moved(whole, data):
    one, other = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))
    assume(one != other)
    text = whole.hex()
    made = cache()

    def keys(at):
        head, tail = whole[:at], whole[at:]
        yield made.key(request(inputs=[tensor("x", head), tensor("x", tail)]))
        yield made.key(request(inputs=[tensor(text[:at]), tensor(text[at:])]))
        yield made.key(request(tenant=text[:at], inputs=[tensor(text[at:])]))
        yield made.key(request(inputs=[tensor(text[:at], text[at:].encode())]))
        yield made.key(request(outputs=(text[:at], text[at:], "end")))
        yield made.key(request(replace(VERSION, digest=text[:at], format=text[at:])))
        yield made.key(request(replace(VERSION, options={text[:at]: text[at:]})))

    mirrored = one + other == len(whole) and {text[:one], text[one:]} == {text[:other], text[other:]}
    for index, (first, second) in enumerate(zip(keys(one), keys(other), strict=True)):
        assert first != second or (index == 4 and mirrored)  # requested outputs have no order


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.integers(1, 4), min_size=1, max_size=4), BYTES)
def test_c1_the_same_bytes_in_another_shape_or_datatype_are_another_request(one, other, filler):
    data = (filler + bytes(256))[: prod(one)]
    made = cache()
    flat = made.key(request(inputs=[tensor(data=data, shape=tuple(one))]))
    assert made.key(request(inputs=[tensor(data=data, shape=tuple(one), datatype="INT8")])) != flat
    if one != other:
        assert made.key(request(inputs=[tensor(data=data, shape=tuple(other))])) != flat


@given(st.text(max_size=3), st.integers(0, 9), st.integers(1, 9), st.text(max_size=3), st.booleans())
def test_who_asks_how_urgently_and_in_which_form_is_not_in_the_key(identity, priority, weight, principal, is_binary):
    made, inputs = cache(), [tensor(data=b"same")]
    marked = request(
        inputs=inputs,
        request_id=identity,
        priority=priority,
        weight=weight,
        principal_id=principal,
        binary_outputs=frozenset({"y"} if is_binary else ()),
        top_classes={"y": 1},
    )
    assert made.key(marked) == made.key(request(inputs=inputs))


def test_c2_a_version_uploaded_again_with_the_same_number_never_gets_the_old_ones_answers():
    made, again = cache(), replace(VERSION, digest="again")
    made.put("m", made.key(request()), answer(), 0, version_digest=VERSION.digest)
    made.add_reply(request(), b"body", made.key(request()), Answer(200, b"old"))
    assert made.get("m", made.key(request(again)), 0) is None
    assert made.reply(again, "", b"body", 0) is None
    assert made.get("m", made.key(request()), 0) is not None  # and after a roll-back they are its own again


@settings(max_examples=200, deadline=None)
@given(TENANTS, TENANTS, st.booleans())
def test_c3_tenants_meet_only_where_the_model_is_shared_by_key_and_by_body(one, other, is_shared):
    made = cache(is_shared=is_shared)
    key = made.key(request(tenant=one))
    made.put("m", key, answer(), 0)
    made.add_reply(request(tenant=one), b"body", key, Answer(200, b"kept"))
    meets = is_shared or one == other
    assert (made.get("m", made.key(request(tenant=other)), 0) is not None) == meets
    assert (made.reply(VERSION, other, b"body", 0) is not None) == meets


def test_c3_sharing_a_model_or_ending_it_forgets_what_was_kept_for_the_others():
    made = cache()
    for is_shared in (True, False):
        key = made.key(request(tenant="one"))
        made.put("m", key, answer(), 0)
        made.add_reply(request(tenant="one"), b"body", key, Answer(200, b"kept"))
        made.configure("m", CachePolicy(is_shared=is_shared))
        assert made.statistics()["m"].entries == 0
        assert made.reply(VERSION, "", b"body", 0) is None


def test_c3_a_miss_on_another_tenants_input_walks_the_same_lines_as_any_miss():
    for eviction in Eviction:
        made = cache(eviction=eviction)
        store = made._stores["m"]
        store.sampled_below = store.timed_below = b""  # which keys are looked at closer depends on the key alone
        asked = [request(tenant="one", inputs=[tensor(data=bytes([number]) * 32)]) for number in range(9)]
        for one in asked:
            made.put("m", made.key(one), answer(), 0)
            made.add_reply(one, one.inputs[0].data, made.key(one), Answer(200, b"kept"))

        def look_up(data, made=made):
            mine = request(tenant="two", inputs=[tensor(data=data)])
            assert made.reply(VERSION, "two", data, 0) is None
            assert made.get("m", made.key(mine), 0) is None

        look_up(b"\xfe" * 32)  # so that the tenant's key is begun
        unknown, other_tenants = lines_of(look_up, b"\xff" * 32), lines_of(look_up, b"\x04" * 32)
        assert other_tenants == unknown
        assert len(unknown) > 10


def lines_of(function, *arguments):
    """Every line of the cache that a call goes through; a collection of garbage on the way is none."""
    lines = []

    def trace(frame, event, _):
        if "/proxy/cache/" in frame.f_code.co_filename:
            lines.append((frame.f_code.co_qualname, frame.f_lineno, event))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return lines


FLOATS = st.floats(width=16) | st.sampled_from([float("inf"), float("-inf"), float("nan"), 0.0, -0.0])


@settings(max_examples=200, deadline=None)
@given(st.lists(FLOATS, max_size=20), st.sampled_from(["FP16", "FP32", "FP64", "BF16"]))
def test_c4_an_answer_with_nan_is_told_by_its_bits_in_every_floating_datatype(values, datatype):
    wide = np.array(values, "<f4")
    data = {
        "FP16": lambda: wide.astype("<f2").tobytes(),
        "FP32": wide.tobytes,
        "FP64": lambda: wide.astype("<f8").tobytes(),
        "BF16": lambda: wide.view("<u4").__rshift__(16).astype("<u2").tobytes(),
    }[datatype]()
    assert holds_nan(answer(data, datatype)) == bool(np.isnan(wide).any())


@given(st.binary(max_size=32), st.sampled_from(["INT32", "UINT64", "BYTES", "BOOL"]))
def test_c4_no_bits_of_other_datatypes_are_nan(data, datatype):
    assert not holds_nan(answer(data + bytes(-len(data) % 8), datatype))


def test_c4_nan_is_kept_only_where_the_policy_says_so_and_dropped_when_it_no_longer_does():
    nan = answer(np.array([1, np.nan], "<f4").tobytes(), "FP32")
    made = cache()
    made.put("m", b"k", nan, 0)
    assert made.get("m", b"k", 0) is None
    assert made.statistics()["m"].refused == 1
    made.configure("m", CachePolicy(keeps_nan=True))
    made.put("m", b"k", nan, 0)
    assert made.get("m", b"k", 0) is nan
    made.configure("m", CachePolicy())
    assert made.get("m", b"k", 0) is None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(Eviction), st.integers(1, 9_000), st.lists(st.integers(0, 6_000), min_size=1, max_size=30))
def test_c7_whatever_does_not_fit_is_a_miss_and_what_is_read_while_it_leaves_stays_whole(eviction, max_bytes, sizes):
    made = cache(eviction=eviction, max_bytes=max_bytes)
    for number, size in enumerate(sizes):
        value = bytes([number]) * size
        made.put("m", bytes([number]), answer(value), 0)
        held = made.get("m", bytes([number]), 0)
        made.put("m", b"later", answer(b"\xff" * (size // 2)), 0)
        assert held is None or held.tensors[0].data == value
        assert made.statistics()["m"].bytes <= max_bytes
