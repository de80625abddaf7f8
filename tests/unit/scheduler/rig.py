"""A scheduler on a clock that stands still, with fake instances."""

from __future__ import annotations

import random
import struct

from proxy.core.errors import ProxyError
from proxy.core.policies import BatchingPolicy, ModelPolicy, Placement, QueuePolicy
from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version


def policy(max_rows=4, max_delay_ns=0, max_requests=1_000, placement=Placement.LEAST_OUTSTANDING, **more):
    """`more` are fields of the batching or the queue policy, or rooms of the model's (`admission`, `retry`)."""
    batching, queue, rooms = {}, {}, {}
    for name, value in more.items():
        in_batching, in_queue = name in BatchingPolicy.__slots__, name in QueuePolicy.__slots__
        (batching if in_batching else queue if in_queue else rooms)[name] = value
    return ModelPolicy(
        placement=placement,
        batching=BatchingPolicy(max_rows, max_delay_ns, **batching),
        queue=QueuePolicy(max_requests=max_requests, **queue),
        **rooms,
    )


class Rig:
    """Submits requests whose values are their numbers, and keeps every answer."""

    def __init__(self, instances=1, *, the_policy=None, version=None, call_soon=False, **group_options):
        self.clock = ManualClock()
        self.version = version or fake_version()
        self.executions = []
        self.scheduler = Scheduler(
            self.clock,
            self.clock.call_later,
            meter=self,
            call_soon=self.clock.call_soon if call_soon else None,
            chance=random.Random(1),
        )
        self.group = FakeGroup(
            self.version,
            self.clock,
            instances,
            on_change=lambda group: self.scheduler.wake(group.version.key),
            **group_options,
        )
        self.scheduler.attach(self.version.key, self.group, the_policy or policy())
        self.answers = {}
        self.numbers = {}
        self.submitted = 0

    def on_execution(self, version_key, rows, requests, service_ns, input_ns, output_ns):
        self.executions.append((version_key, rows, requests, service_ns))

    def request(self, rows=1, timeout_ns=NS_PER_S, trailing=(2,), number=None, **more):
        number = self.submitted if number is None else number
        now_ns = self.clock.now_ns()
        size = 1
        for dimension in trailing:
            size *= dimension
        values = [number + row / 1_024 for row in range(rows) for _ in range(size)]  # each row is its own
        data = struct.pack(f"<{rows * size}f", *values)
        shape = (rows, *trailing) if self.version.batchable else trailing
        tensor = Tensor("x", "FP32", shape, data)
        request = InferenceRequest(self.version, (tensor,), rows, now_ns, now_ns + timeout_ns, **more)
        self.numbers[request] = number
        return request

    def submit(self, rows=1, timeout_ns=NS_PER_S, trailing=(2,), **more):
        """`more`: priority, principal_id, weight."""
        request = self.request(rows, timeout_ns, trailing, **more)
        self.submitted += 1
        self.scheduler.submit(request, self.on_done)
        return request

    def on_done(self, request, outcome):
        assert request not in self.answers, "answered twice"
        assert isinstance(outcome, InferenceResult | ProxyError)
        self.answers[request] = outcome

    def is_right(self, request):
        """The answer holds the request's own number, in the right rows."""
        outcome = self.answers.get(request)
        if not isinstance(outcome, InferenceResult):
            return False
        share = outcome.outputs.share(outcome.first_row, outcome.rows)
        return bytes(share.tensors[0].data) == bytes(request.inputs[0].data)

    def reason(self, request):
        return self.answers[request].reason

    @property
    def instances(self):
        return self.group.all_instances()

    @property
    def lane(self):
        return self.scheduler.statistics()[self.version.key]

    def batch_numbers(self):
        """For each execution begun, in order of instance: the numbers of its requests (or of what they are part of)."""
        return [
            [int(struct.unpack_from("<f", request.inputs[0].data)[0]) for request in batch.requests]
            for instance in self.instances
            for batch in instance.batches
        ]
