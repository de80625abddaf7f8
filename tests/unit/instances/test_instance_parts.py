"""States, layout of batches, checks of answers, log tails, exit words."""

from __future__ import annotations

import asyncio
import mmap
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instance_cast import batch

from proxy.core.policies import ExecutionPolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, Signature, Tensor, TensorSpec
from proxy.frames.launch import command, describe_exit
from proxy.frames.messages import Entry
from proxy.instances.channel import Channel
from proxy.instances.group import InstanceGroup
from proxy.instances.instance import Instance
from proxy.instances.layout import ALIGNMENT_BYTES, GarbageAnswer, fill, lay_out, take_outputs
from proxy.instances.log import LIMIT_BYTES, LogTail
from proxy.instances.shared_memory import LARGEST_AREA_BYTES, SMALLEST_AREA_BYTES, area_size
from proxy.instances.state import ENDED, TRANSITIONS, IllegalTransition, InstanceState, advance
from proxy.testing.clock import ManualClock

SIGNATURE = Signature(
    (TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "INT64", (-1,))), (TensorSpec("y", "FP32", (-1, 2)),)
)


def version(*, batchable=True, signature=SIGNATURE):
    return VersionSnapshot("m", 1, "", "/nowhere", "torchscript", signature, batchable=batchable)


def request_tensors(row_count, fill_byte):
    a = Tensor("a", "FP32", (row_count, 2), bytes([fill_byte]) * 8 * row_count)
    b = Tensor("b", "INT64", (row_count,), bytes([fill_byte]) * 8 * row_count)
    return (a, b)


def test_only_transitions_of_the_table_are_legal():
    for current, to in product(InstanceState, InstanceState):
        if to in TRANSITIONS[current]:
            assert advance(current, to) is to
        else:
            with pytest.raises(IllegalTransition):
                advance(current, to)
    assert all(not TRANSITIONS[state] for state in ENDED)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_every_request_lies_whole_and_in_order_in_the_area(row_counts):
    work = batch(version(), *(request_tensors(rows, number + 1) for number, rows in enumerate(row_counts)))
    entries, size_bytes = lay_out(work)
    total = sum(row_counts)
    assert [entry.shape for entry in entries] == [(total, 2), (total,)]
    assert all(entry.offset % ALIGNMENT_BYTES == 0 for entry in entries)
    area = mmap.mmap(-1, max(size_bytes, 1))
    fill(area, work, entries)
    expected = b"".join(bytes([number + 1]) * 8 * rows for number, rows in enumerate(row_counts))
    for entry in entries:
        assert area[entry.offset : entry.offset + entry.size_bytes] == expected
    area.close()


def test_inputs_whose_bytes_do_not_fit_their_shape_are_refused():
    a, b = request_tensors(2, 1)
    with pytest.raises(ValueError, match="Input 'a': 15 bytes"):
        lay_out(batch(version(), (Tensor("a", "FP32", (2, 2), a.data[:15]), b)))


def test_a_batch_of_a_version_that_is_not_batchable_keeps_its_shape():
    signature = Signature((TensorSpec("x", "FP32", (1, -1)),), (TensorSpec("y", "FP32", (1, -1)),))
    work = batch(version(batchable=False, signature=signature), Tensor("x", "FP32", (1, 3), bytes(12)))
    entries, _ = lay_out(work)
    assert entries[0].shape == (1, 3)


GOOD = Entry(DATATYPES["FP32"].code, 64, 16, (2, 2))


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (GOOD, GOOD),
        (GOOD._replace(code=12),),
        (GOOD._replace(code=0),),
        (GOOD._replace(shape=(4,)),),
        (GOOD._replace(shape=(2, 3)),),
        (GOOD._replace(shape=(1, 2), size_bytes=8),),
        (GOOD._replace(size_bytes=15),),
        (GOOD._replace(size_bytes=0),),
        (GOOD._replace(offset=4_096 - 15),),
        (GOOD._replace(offset=2**64 - 1),),
        (GOOD._replace(shape=(2, 2**62), size_bytes=16),),
    ],
)
def test_an_answer_that_contradicts_signature_batch_or_area_is_garbage(entries):
    work = batch(version(), request_tensors(2, 1))
    area = mmap.mmap(-1, 4_096)
    with pytest.raises(GarbageAnswer):
        take_outputs(work, area, 4_096, entries)
    assert take_outputs(work, area, 4_096, (GOOD,)).tensors[0].data == bytes(16)
    area.close()


def test_areas_are_powers_of_two_with_bounds():
    assert area_size(0) == area_size(1) == area_size(SMALLEST_AREA_BYTES) == SMALLEST_AREA_BYTES
    assert area_size(SMALLEST_AREA_BYTES + 1) == 2 * SMALLEST_AREA_BYTES
    assert area_size(LARGEST_AREA_BYTES) == LARGEST_AREA_BYTES
    with pytest.raises(ValueError, match="more than a batch may hold"):
        area_size(LARGEST_AREA_BYTES + 1)


def test_a_log_keeps_its_newest_bytes_and_prints_no_control_characters():
    log = LogTail()
    for number in range(50_000):
        log.append(f"line {number}\n".encode())
    assert log.tail(2) == "line 49998\nline 49999"
    assert len(log.tail(10**9)) <= LIMIT_BYTES
    log.append(b"\x1b[2Jred\xff\n")
    assert log.tail(1) == "�[2Jred�"


def test_exits_are_told_in_words():
    assert describe_exit(3) == "it ended with exit status 3"
    assert "SIGSEGV" in describe_exit(-11)
    assert "signal 64" in describe_exit(-64) or "SIGRTMAX" in describe_exit(-64)


def test_a_worker_imports_nothing_from_its_working_directory():
    assert command("proxy.worker", channel_fd=3)[1:] == [
        "-P", "-X", "faulthandler", "-m", "proxy.worker", "--channel-fd=3",
    ]  # fmt: skip


def test_an_instance_that_closed_its_channel_is_not_counted_on_while_it_ends():
    loop, clock = asyncio.new_event_loop(), ManualClock()
    group = InstanceGroup(version(), ExecutionPolicy(), loop=loop, clock=clock, on_change=lambda _: None)
    instance = Instance(version(), group.policy, loop=loop, clock=clock, on_event=lambda *_: None)
    instance.state = InstanceState.READY
    group._instances.append(instance)
    assert group.ready_instances() == [instance]
    link = instance._link
    link._channel, theirs = Channel.pair()
    link._channel_is_open = True
    theirs.close()
    link._readable()
    assert not instance.idle
    assert not group.ready_instances()
    link._channel.close()
    loop.close()
