"""What is charged for kept answers covers what Python holds for them, and not by much more, under every policy."""

from __future__ import annotations

import gc
import multiprocessing
import os
import struct
import tracemalloc
from concurrent.futures import ProcessPoolExecutor

import pytest

from proxy.cache.replies import Replies
from proxy.cache.sizes import cost_bytes
from proxy.cache.store import Store
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, Eviction
from proxy.core.requests import Answer, InferenceResult
from proxy.core.tensors import Tensor, join_elements
from proxy.protocol.v2_response import encode_output
from proxy.testing.instances import fake_version

VERSION = fake_version()
LIVE = 100
# What is charged is at most this many times what is held: values are charged with the longest text that they may have.
MOST_CHARGED = {"long texts": 1.35, "strings": 1.6, "short texts": 2.6}


def floats(rows, columns, tensors=1):
    values = [(-1) ** number * 1.1754944e-38 * number for number in range(1, rows * columns + 1)]  # long texts
    data = struct.pack(f"<{len(values)}f", *values)
    return BatchOutputs(
        tuple(Tensor(f"y{number}", "FP32", (rows, columns), bytes(bytearray(data))) for number in range(tensors)),
        rows,
        batched=True,
    )


def strings(count):
    data = join_elements([b'"\x00\n' * 8] * count)
    return BatchOutputs((Tensor("y", "BYTES", (1, count), data),), 1, batched=True)


def small_numbers(count):
    return BatchOutputs((Tensor("y", "INT64", (1, count), struct.pack(f"<{count}q", *range(count))),), 1, batched=True)


SHAPES = {
    "one value": (lambda: floats(1, 1), "long texts"),
    "ten values": (lambda: floats(1, 10), "long texts"),
    "three outputs": (lambda: floats(1, 10, 3), "long texts"),
    "eight rows": (lambda: floats(8, 10), "long texts"),
    "64 rows": (lambda: floats(64, 1), "long texts"),
    "a thousand values": (lambda: floats(1, 1_000), "long texts"),
    "strings": (lambda: strings(20), "strings"),
    "small numbers": (lambda: small_numbers(200), "short texts"),
}


def asked_once(answer):
    """`answer` with the text that its first hit leaves."""
    result = InferenceResult(VERSION, answer, 0, answer.rows)
    assert all(encode_output(result, tensor.name) for tensor in answer.tensors)
    return answer


def store_full_of(shape, eviction):
    """Entries, bytes charged and bytes held of a store that has evicted."""
    make, _ = SHAPES[shape]
    one_bytes = cost_bytes(asked_once(make()))
    gc.collect()
    tracemalloc.start()
    try:
        store = Store(CachePolicy(eviction=eviction, max_bytes=LIVE * one_bytes))
        for number in range(2 * LIVE):  # so that every order has evicted, and remembers what it remembers
            key = os.urandom(24)
            store.put(key, asked_once(make()), "digest", 10**15 + number, 10**9 + number)
            if number % 3 == 0:
                store.get(key, 0)
        gc.collect()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return len(store), store.size_bytes, held_bytes


def replies_of(tenants):
    """Bytes charged and bytes held for the replies of a hundred entries."""
    store = Store(CachePolicy())
    for number in range(LIVE):
        store.put(number.to_bytes(24, "big"), floats(1, 1), "digest", 0)
    before_bytes = store.size_bytes
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(LIVE):
            body = b"%d" % number + b" " * 300
            answer = Answer(200, b"%d" % number + b"y" * 200, ((b"content-type", b"%d" % number),))
            store.add_reply(VERSION, f"tenant {number % tenants}", body, number.to_bytes(24, "big"), answer)
        gc.collect()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return store.size_bytes - before_bytes, held_bytes


@pytest.fixture(scope="module")
def alone():
    """Runs a function in a process of its own: what other tests' servers allocate here meanwhile would count too."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        yield lambda function, *arguments: process.submit(function, *arguments).result(timeout=60)


@pytest.mark.parametrize("eviction", list(Eviction))
@pytest.mark.parametrize("shape", list(SHAPES))
def test_what_is_charged_covers_what_is_held_and_is_not_far_above(shape, eviction, alone):
    entries, charged_bytes, held_bytes = alone(store_full_of, shape, eviction)
    assert entries > LIVE / 2
    assert held_bytes <= charged_bytes <= MOST_CHARGED[SHAPES[shape][1]] * held_bytes


@pytest.mark.parametrize("tenants", [1, LIVE])
def test_a_reply_is_charged_with_the_places_that_find_it(tenants, alone):
    charged_bytes, held_bytes = alone(replies_of, tenants)
    assert held_bytes <= charged_bytes <= 2 * held_bytes


def test_nothing_is_left_of_replies_whose_entries_have_gone():
    store = Store(CachePolicy())
    for number in range(20):
        key = bytes([number])
        store.put(key, floats(1, 1), "digest", 0)
        store.add_reply(VERSION, f"tenant {number}", key, key, Answer(200, b"y"))
    store.purge(None)
    assert store._replies.by_tenant == Replies().by_tenant == {}
    assert store.size_bytes == 0
