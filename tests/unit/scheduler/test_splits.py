"""A request of more rows than one execution holds, and batches of certain sizes only."""

from __future__ import annotations

import struct

import pytest
from rig import Rig, policy

from proxy.core.batches import BatchFault, BatchOutputs, BatchResult
from proxy.core.errors import Cancelled, DeadlineExceeded, ExecutionFailed, Reason, TooLarge
from proxy.core.policies import Oversize
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor, join_elements
from proxy.core.units import NS_PER_MS
from proxy.scheduler import splitting
from proxy.scheduler.gate import MAX_PARTS
from proxy.scheduler.splitting import cut, join
from proxy.testing.instances import fake_version


def finish_all(rig):
    while rig.instances[0].current:
        rig.instances[0].finish()


def test_r34_a_request_larger_than_a_batch_runs_in_parts_and_its_rows_come_back_in_order(rig):
    rig.submit()
    big = rig.submit(rows=9)
    after = rig.submit()
    finish_all(rig)
    assert [batch.rows for batch in rig.instances[0].batches] == [1, 4, 4, 2]
    assert rig.is_right(big)
    assert rig.is_right(after)
    assert big.attempts == 1
    lane = rig.lane
    assert (lane.requests, lane.splits, lane.inferences) == (3, 1, 11)
    assert rig.scheduler._register.splits == rig.scheduler._register.entries == {}


def test_parts_run_on_several_instances_at_once_and_are_joined_in_order():
    rig = Rig(3)
    big = rig.submit(rows=12)
    for instance in reversed(rig.instances):
        assert big not in rig.answers
        instance.finish()
    assert rig.is_right(big)


def test_one_part_that_fails_fails_the_request_once_and_the_others_are_not_run():
    rig = Rig()
    rig.submit(rows=4)
    big = rig.submit(rows=12)
    rig.instances[0].finish()
    rig.instances[0].finish(BatchFault("index out of range", lost=False))
    assert isinstance(rig.answers[big], ExecutionFailed)
    assert rig.reason(big) is Reason.MODEL_ERROR
    assert rig.instances[0].current is None
    assert rig.lane.queue_depth == 0
    assert rig.lane.reasons == {Reason.MODEL_ERROR: 1}


def test_f11_a_split_request_whose_client_left_is_not_run_any_further():
    rig = Rig()
    big = rig.submit(rows=12)
    kept = rig.submit()
    rig.scheduler.cancel(big)
    assert isinstance(rig.answers[big], Cancelled)
    rig.scheduler.cancel(big)
    finish_all(rig)
    assert rig.is_right(kept)
    assert [batch.rows for batch in rig.instances[0].batches] == [4, 1]
    assert rig.lane.cancelled == 1


def test_a_split_request_that_expires_waiting_is_counted_once_and_never_run(rig):
    rig.submit()
    big = rig.submit(rows=12, timeout_ns=NS_PER_MS)
    rig.clock.advance(NS_PER_MS)
    assert isinstance(rig.answers[big], DeadlineExceeded)
    finish_all(rig)
    assert rig.instances[0].executions == 1
    assert (rig.lane.expired, rig.lane.reasons[Reason.DEADLINE_EXCEEDED]) == (1, 1)


def test_by_policy_a_request_larger_than_a_batch_is_refused():
    rig = Rig(the_policy=policy(oversize=Oversize.REFUSE))
    refused = rig.submit(rows=5)
    assert isinstance(rig.answers[refused], TooLarge)
    assert rig.reason(refused) is Reason.OVERSIZE
    assert "at most 4 rows" in rig.answers[refused].message


def test_a_large_request_needs_one_free_place_and_its_parts_fill_the_queue_for_those_after_it():
    rig = Rig(the_policy=policy(max_requests=3))
    rig.submit()
    rig.submit()
    rig.submit()
    big = rig.submit(rows=16)
    assert rig.lane.queue_depth == 6
    assert rig.reason(rig.submit()) is Reason.QUEUE_FULL
    finish_all(rig)
    assert rig.is_right(big)


def test_a_request_of_more_parts_than_anyone_may_send_is_refused_even_by_an_idle_model():
    rig = Rig()
    refused = rig.submit(rows=4 * MAX_PARTS + 1)
    assert rig.reason(refused) is Reason.OVERSIZE
    assert f"at most {4 * MAX_PARTS} rows" in rig.answers[refused].message


def test_a_split_request_loses_its_place_as_a_whole():
    rig = Rig(the_policy=policy(max_requests=3))
    rig.submit(principal_id="a")
    big = rig.submit(rows=12, principal_id="a")
    other = rig.submit(principal_id="b")
    assert rig.reason(big) is Reason.FAIR_SHARE
    finish_all(rig)
    assert rig.is_right(other)
    assert rig.instances[0].executions == 2


def test_an_instance_lost_with_a_part_costs_one_more_run_of_that_part():
    rig = Rig(2)
    big = rig.submit(rows=8)
    rig.group.lose(rig.instances[0], from_outside=True)
    rig.instances[0].finish()
    rig.instances[0].finish()
    assert rig.is_right(big)
    assert big.attempts == 2


def test_parts_whose_outputs_have_different_shapes_are_no_answer():
    """A model may pad its outputs to the longest of an execution; two such parts make no tensor."""
    rig = Rig()
    big = rig.submit(rows=8)
    for width in (3, 5):
        tensor = Tensor("y", "FP32", (4, width), bytes(4 * 4 * width))
        rig.instances[0].finish(BatchResult(BatchOutputs((tensor,), 4, batched=True), 1, 1))
    assert rig.reason(big) is Reason.MODEL_ERROR
    assert "'y'" in rig.answers[big].message and "at most 4 rows" in rig.answers[big].message
    assert not rig.scheduler._register.splits


def test_parts_that_cannot_be_joined_still_end_in_one_answer(monkeypatch, caplog):
    def out_of_memory(results):
        raise MemoryError

    monkeypatch.setattr(splitting, "join", out_of_memory)
    rig = Rig()
    big = rig.submit(rows=8)
    finish_all(rig)
    assert rig.reason(big) is Reason.INTERNAL
    assert "MemoryError" in caplog.text
    assert not rig.scheduler._register.splits


def test_f7_parts_that_were_cut_again_for_memory_leave_with_their_request():
    rig = Rig()
    big = rig.submit(rows=8)
    rig.instances[0].finish(BatchFault("out of memory", lost=False, out_of_memory=True))
    rig.scheduler.cancel(big)
    kept = rig.submit()
    finish_all(rig)
    assert rig.reason(big) is Reason.CANCELLED
    assert rig.is_right(kept)
    assert [batch.rows for batch in rig.instances[0].batches] == [4, 4, 1]  # the second 4 was running already
    assert rig.lane.cancelled == 1
    assert not rig.scheduler._register.entries
    assert not rig.scheduler._register.splits


def test_strings_are_cut_between_elements_and_joined_again():
    version = fake_version()
    words = [b"", b"a" * 300, b"xyz", b"12", b"end"]
    tensor = Tensor("x", "BYTES", (5, 1), join_elements(words))
    parts = cut(InferenceRequest(version, (tensor,), 5, 0, 1), 2)
    assert [part.rows for part in parts] == [2, 2, 1]
    results = [
        InferenceResult(version, BatchOutputs(part.inputs, part.rows, batched=True), 0, part.rows) for part in parts
    ]
    joined = join(results)
    assert bytes(joined.outputs.tensors[0].data) == bytes(tensor.data)
    assert joined.outputs.tensors[0].shape == (5, 1)


def test_batches_are_padded_to_allowed_sizes_and_no_padded_row_is_answered():
    def padded_echo(batch):
        """An instance that answers padded rows, too: nobody may see them."""
        data = b"".join(bytes(request.inputs[0].data) for request in batch.requests)
        rows = batch.padded_rows or batch.rows
        data += struct.pack("<2f", -1.0, -1.0) * (rows - batch.rows)
        outputs = BatchOutputs((Tensor("y", "FP32", (rows, 2), data),), rows, batched=True)
        return BatchResult(outputs, compute_ns=1, service_ns=2)

    rig = Rig(the_policy=policy(max_rows=32, padded_rows=(2, 4)), respond=padded_echo)
    requests = [rig.submit()]
    requests += [rig.submit() for _ in range(5)]
    requests += [rig.submit(rows=3)]
    finish_all(rig)
    assert all(rig.is_right(request) for request in requests)
    batches = rig.instances[0].batches
    assert [(batch.rows, batch.padded_rows) for batch in batches] == [(1, 2), (4, 0), (4, 0)]
    assert sorted(rig.lane.by_size) == [2, 4]


@pytest.mark.parametrize("rows", [5, 6])
def test_a_batch_is_never_larger_than_the_largest_allowed_size(rows):
    rig = Rig(the_policy=policy(max_rows=32, padded_rows=(2, 4)))
    big = rig.submit(rows=rows)
    finish_all(rig)
    assert rig.is_right(big)
    assert [batch.padded_rows or batch.rows for batch in rig.instances[0].batches] == [4, 2]


def test_a_batch_leaves_at_a_preferred_size_and_the_rest_waits_for_company():
    rig = Rig(the_policy=policy(max_rows=8, max_delay_ns=5 * NS_PER_MS, preferred_rows=(2, 4)))
    for _ in range(2):
        rig.submit()
    assert rig.batch_numbers() == [[0, 1]]
    for _ in range(5):
        rig.submit()
    rig.instances[0].finish()
    assert rig.batch_numbers() == [[0, 1], [2, 3, 4, 5]]
