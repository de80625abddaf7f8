"""No answer ever meets another request: distinct inputs through parsing, cache, single flight, scheduler and encoding.

The bytes of each body are read by the real parser, batched by the real scheduler on fake instances that answer their
input, and written by the real encoder; requests of mixed sizes are cancelled, their instances lost, their batches
poisoned, their inputs repeated. Each request ends exactly once, and a 200 holds exactly its own rows.
"""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.batches import Batch, BatchFault
from proxy.core.policies import BatchingPolicy, ModelPolicy, Oversize, QueuePolicy
from proxy.core.requests import Answer, InferenceRequest
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.protocol import v2_json
from proxy.protocol.limits import Limits
from proxy.testing.instances import echo
from tests.unit.pipeline.test_answering import Rig

LIMITS = Limits()
IN_CI = 30_000
MET = 50
"""Ends of each kind that the long run has to see: enough to say that it went there, far below what it sees."""
POISON = -8.0
ACTIONS = {
    "send_some": 40,
    "repeat_one": 5,
    "send_poison": 1,
    "leave_one": 12,
    "lose_instance": 1,
    "add_instance": 3,
    "change_policy": 0.5,
    "pass_time": 4,
    "finish_one": 60,
}
"""What may happen next, by weight."""


class Sent:
    """One request that was sent, and how it ended."""

    __slots__ = ("cancel", "cancelled", "rows", "status")

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = rows
        self.status: int | None = None
        self.cancelled = False
        self.cancel = None


class Line:
    """The line on a clock that stands still, driven by a seeded chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.rig = Rig(seed=seed)
        self.group = self.rig.group
        for instance in self.group.all_instances():
            instance.respond = self.respond
        self.sent: list[Sent] = []
        self.open: list[Sent] = []
        self.counts: Counter[object] = Counter()
        self.change_policy()

    def respond(self, batch: Batch):
        for request in batch.requests:
            if POISON in memoryview(bytes(request.inputs[0].data)).cast("f"):
                return BatchFault("poison", lost=False)
        return echo(batch)

    def change_policy(self) -> None:
        batching = BatchingPolicy(self.chance.choice((1, 4, 7, 32)), oversize=Oversize.SPLIT)
        queue = QueuePolicy(max_requests=self.chance.choice((8, 64, 512)))
        self.rig.scheduler.update_policy("echo/1", ModelPolicy(batching=batching, queue=queue))

    def send(self, rows: list[list[float]], timeout_ns: int = 10 * NS_PER_S) -> None:
        one = Sent(rows)
        flat = [value for row in rows for value in row]
        tensor = {"name": "x", "datatype": "FP32", "shape": [len(rows), 2], "data": flat}
        parsed = v2_json.parse(json.dumps({"inputs": [tensor]}).encode(), self.rig.version, LIMITS)
        now_ns = self.rig.clock.now_ns()
        request = InferenceRequest(self.rig.version, parsed.inputs, parsed.rows, now_ns, now_ns + timeout_ns)
        self.sent.append(one)
        self.open.append(one)
        one.cancel = self.rig.answering.begin(request, lambda answer: self.answered(one, answer))

    def answered(self, one: Sent, answer: Answer) -> None:
        assert one.status is None, "answered twice"
        assert not one.cancelled, "answered after its client left"
        one.status = answer.status
        self.counts[answer.status] += 1
        if answer.status == 200:
            output = json.loads(answer.body)["outputs"][0]
            flat = [value for row in one.rows for value in row]
            assert output["shape"] == [len(one.rows), 2]
            assert output["data"] == flat, "another request's answer"

    def new_rows(self) -> list[list[float]]:
        """Rows that no other request has: the request's number, and the row's."""
        number = float(len(self.sent))
        count = self.chance.choice((1, 1, 1, 2, 3, 5, 9))
        return [[number, float(row)] for row in range(count)]

    def step(self) -> None:
        """One thing happens."""
        (name,) = self.chance.choices(tuple(ACTIONS), tuple(ACTIONS.values()))
        getattr(self, name)()

    def send_some(self) -> None:
        for _ in range(self.chance.randint(1, 4)):
            self.send(self.new_rows(), self.chance.choice((NS_PER_MS, NS_PER_S, 10 * NS_PER_S)))

    def repeat_one(self) -> None:
        """From the cache, or sharing its execution."""
        if self.sent:
            self.send(self.chance.choice(self.sent[-50:]).rows)

    def send_poison(self) -> None:
        self.send([*self.new_rows(), [POISON, float(len(self.sent))]])

    def leave_one(self) -> None:
        """Of those that still wait for their answer."""
        self.open = [one for one in self.open if one.status is None]
        if self.open:
            self.leave(self.open.pop(self.chance.randrange(len(self.open))))

    def lose_instance(self) -> None:
        if self.group.all_instances():
            self.group.lose(self.chance.choice(self.group.all_instances()), timed_out=self.chance.random() < 0.2)

    def add_instance(self) -> None:
        if len(self.group.all_instances()) < 4:
            self.group.add().respond = self.respond

    def pass_time(self) -> None:
        self.rig.clock.advance(self.chance.choice((0, 1, NS_PER_MS, 200 * NS_PER_MS)))

    def leave(self, one: Sent) -> None:
        if one.status is None and one.cancel is not None:
            one.cancelled = True
            self.counts["cancelled"] += 1
            one.cancel()

    def finish_one(self) -> bool:
        busy = [instance for instance in self.group.all_instances() if instance.current]
        if busy:
            self.chance.choice(busy).finish()
        return bool(busy)

    def drain(self) -> None:
        """Everything that was sent ends."""
        if not self.group.all_instances():
            self.group.add().respond = self.respond
        while self.finish_one():
            self.rig.clock.turn()
        self.rig.clock.advance(200 * NS_PER_S)
        while self.finish_one():
            self.rig.clock.turn()
        for one in self.sent:
            assert (one.status is None) == one.cancelled, "a request without exactly one end"
        lane = self.rig.scheduler.statistics()["echo/1"]
        assert (lane.queue_depth, lane.in_flight, lane.running) == (0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 150))
def test_whatever_happens_each_request_ends_once_and_with_its_own_rows(seed: int, steps: int) -> None:
    line = Line(seed)
    for _ in range(steps):
        line.step()
    line.drain()


@pytest.mark.slow
def test_tens_of_thousands_of_distinct_requests_meet_only_their_own_answers() -> None:
    line = Line(2026)
    while len(line.sent) < IN_CI:
        line.step()
    line.drain()
    counts = line.counts
    assert counts[200] > IN_CI // 4
    for kind in ("cancelled", 500, 503, 504):
        assert counts[kind] > MET, f"the run is to meet {kind}, too: {counts}"


@pytest.mark.parametrize("planted", ["shifted", "swapped"])
def test_a_planted_wrong_answer_is_found(planted: str) -> None:
    """The control: an instance that gives rows to their neighbours is found out at once."""
    line = Line(5)

    def wrong(batch: Batch):
        result = echo(batch)
        (tensor,) = result.outputs.tensors
        data = bytearray(tensor.data)
        if planted == "shifted":
            data = data[8:] + data[:8]
        else:
            data[:8], data[-8:] = data[-8:], data[:8]
        tensor.data = bytes(data)
        return result

    line.rig.instance.respond = wrong
    found = []

    def answered(answer: Answer, number: float) -> None:
        if json.loads(answer.body)["outputs"][0]["data"] != [number, 0.0]:
            found.append(number)

    line.answered = lambda one, answer: answered(answer, one.rows[0][0])
    for number in range(4):
        line.send([[float(number), 0.0]])
    while line.finish_one():
        line.rig.clock.turn()
    assert found
