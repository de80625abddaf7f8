"""Areas: made for the signature, grown, made smaller, bounded together; batches padded; bytes copied once."""

from __future__ import annotations

import mmap
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instance_cast import batch

from proxy.core.policies import BatchingPolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, Signature, Tensor, TensorSpec, join_elements, split_elements
from proxy.core.units import BYTES_PER_MIB
from proxy.frames.messages import Entry
from proxy.instances.layout import GarbageAnswer, fill, lay_out, take_outputs
from proxy.instances.shared_memory import LEFT_FOR_OTHERS_BYTES, NoRoom, SharedArea, SharedMemoryBound
from proxy.instances.sizes import FIRST_AREA_LIMIT_BYTES, executed_rows, first_area_bytes, threads_of

HOST_BYTES = 64 * 1_024 * BYTES_PER_MIB
FLOATS = Signature((TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)),))
STRINGS = Signature((TensorSpec("x", "BYTES", (-1,)),), (TensorSpec("y", "BYTES", (-1,)),))


def bound(limit_mib, available_bytes=HOST_BYTES):
    return SharedMemoryBound(limit_mib * BYTES_PER_MIB, lambda: available_bytes)


def area(least_bytes, within, **sizes):
    made, descriptor = SharedArea.create(least_bytes, within, **sizes)
    os.close(descriptor)
    return made


def version(signature):
    return VersionSnapshot("m", 1, "", "/nowhere", "torchscript", signature)


def test_areas_beyond_the_bound_are_refused_until_others_are_given_back():
    within = bound(96)
    first = area(64 * BYTES_PER_MIB, within)
    with pytest.raises(NoRoom, match="no room for 64 MiB of tensors in shared memory: 64 of 96 MiB are in use"):
        area(33 * BYTES_PER_MIB, within)
    assert within.held_bytes == 64 * BYTES_PER_MIB
    small = area(1, within)
    first.close()
    first.close()
    small.close()
    assert within.held_bytes == 0
    area(64 * BYTES_PER_MIB, within).close()


def test_an_area_is_refused_while_the_host_has_too_little_memory_left():
    within = bound(96, available_bytes=LEFT_FOR_OTHERS_BYTES + 8 * BYTES_PER_MIB)
    with pytest.raises(NoRoom, match="the host has 136 MiB left"):
        area(16 * BYTES_PER_MIB, within)
    assert within.held_bytes == 0
    area(8 * BYTES_PER_MIB, within).close()


def test_the_start_of_an_instance_does_not_depend_on_the_bound():
    area(FIRST_AREA_LIMIT_BYTES, bound(0, available_bytes=0)).close()


def test_an_area_shrinks_to_what_was_used_since_the_last_look_but_not_below_its_first_size():
    made = area(64 * BYTES_PER_MIB, bound(96), smallest_bytes=131_072)
    made.used_bytes = 60 * BYTES_PER_MIB
    assert made.look() == made.size_bytes
    made.used_bytes = 3 * BYTES_PER_MIB
    assert made.look() == 4 * BYTES_PER_MIB
    assert made.look() == 131_072
    made.close()


def test_the_first_areas_fit_the_largest_batch_of_the_signature_and_are_bounded():
    assert first_area_bytes(FLOATS, 32) == (32 * 2 * 4, 32 * 2 * 4)
    image = Signature((TensorSpec("x", "FP32", (-1, 3, 224, 224)),), (TensorSpec("y", "FP16", (-1, 1_000)),))
    assert first_area_bytes(image, 32) == (FIRST_AREA_LIMIT_BYTES, 32 * 1_000 * 4)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (BatchingPolicy(max_rows=1), (1,)),
        (BatchingPolicy(max_rows=32), (1, 2, 4, 8, 16, 32)),
        (BatchingPolicy(max_rows=24, preferred_rows=(6, 12)), (1, 2, 4, 6, 8, 12, 16, 24)),
        (BatchingPolicy(max_rows=24, padded_rows=(8, 32)), (8, 32)),
        (BatchingPolicy(max_rows=32, padded_rows=(4, 8)), (4, 8, 32)),
    ],
)
def test_the_sizes_to_expect_are_powers_of_two_preferred_padded_and_the_largest(policy, expected):
    assert executed_rows(policy) == expected


@given(cores=st.integers(1, 256), instances=st.integers(0, 300))
def test_automatic_threads_never_take_more_than_the_cores(cores, instances):
    threads = threads_of(0, cores, instances)
    assert threads >= 1
    assert threads == 1 or threads * instances <= cores
    assert threads_of(3, cores, instances) == 3


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 9))
def test_added_rows_repeat_the_last_one_and_their_outputs_are_dropped(row_counts, added):
    total = sum(row_counts)
    for signature in (FLOATS, STRINGS):
        work = batch(version(signature), *(tensors_of(signature, rows, n) for n, rows in enumerate(row_counts)))
        work.padded_rows = total + added
        entries, size_bytes = lay_out(work)
        memory = mmap.mmap(-1, size_bytes)
        fill(memory, work, entries)
        (entry,) = entries
        lying = rows_in(signature, memory[:size_bytes][: entry.size_bytes])
        given_rows = [row for request in work.requests for row in rows_in(signature, request.inputs[0].data)]
        assert lying == given_rows + [given_rows[-1]] * added
        outputs = take_outputs(work, memory, size_bytes, [entry])
        (tensor,) = outputs.tensors
        assert (tensor.shape[0], rows_in(signature, tensor.data)) == (total, given_rows)
        with pytest.raises(GarbageAnswer, match="one row for each"):
            take_outputs(work, memory, size_bytes, [Entry(entry.code, 0, entry.size_bytes, (total, *entry.shape[1:]))])
        memory.close()


def tensors_of(signature, rows, number):
    if signature is STRINGS:
        elements = [b"%d" % number * (row + 1) for row in range(rows)]
        return Tensor("x", "BYTES", (rows,), join_elements(elements))
    return Tensor("x", "FP32", (rows, 2), bytes(range(number * 8, number * 8 + 8)) * rows)


def rows_in(signature, data):
    if signature is STRINGS:
        return split_elements(data)
    return [bytes(data[at : at + 8]) for at in range(0, len(data), 8)]


def test_large_tensors_are_copied_once_on_the_way_in_and_once_on_the_way_out():
    rows, size_bytes = 64, 64 * BYTES_PER_MIB
    shape = (rows, size_bytes // rows // 4)
    signature = Signature((TensorSpec("x", "FP32", (-1, shape[1])),), (TensorSpec("y", "FP32", (-1, shape[1])),))
    body = bytearray(size_bytes)
    work = batch(version(signature), Tensor("x", "FP32", shape, memoryview(body)))
    within = bound(256)
    shared = area(size_bytes, within)
    tracemalloc.start()
    try:
        entries, _ = lay_out(work)
        fill(shared.memory, work, entries)
        in_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        outputs = take_outputs(
            work, shared.memory, shared.size_bytes, [Entry(DATATYPES["FP32"].code, 0, size_bytes, shape)]
        )
        out_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(outputs.tensors[0].data) == size_bytes
    assert in_peak < BYTES_PER_MIB // 4  # nothing beside the copy into the area
    assert size_bytes <= out_peak < size_bytes + BYTES_PER_MIB // 4  # the answer's own bytes, nothing beside
    shared.close()
