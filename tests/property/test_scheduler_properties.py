"""Whatever arrives, is cancelled, is lost or fails: each request gets exactly one answer, and it is its own."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.batches import BatchFault
from proxy.core.errors import Cancelled, DeadlineExceeded, ExecutionFailed, Reason, Rejected
from proxy.core.policies import Placement
from proxy.core.requests import InferenceResult
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.entries import Entry
from proxy.scheduler.queue import RequestQueue
from proxy.testing.instances import echo, fake_version
from tests.unit.scheduler.rig import Rig, policy

POISON_TAG = -7.0

submit = st.tuples(
    st.just("submit"),
    st.integers(1, 6),
    st.sampled_from([NS_PER_MS, 20 * NS_PER_MS, NS_PER_S]),
    st.sampled_from([(1,), (2,)]),
    st.booleans(),
)
advance = st.tuples(st.just("advance"), st.sampled_from([0, 1, NS_PER_MS, 7 * NS_PER_MS, 50 * NS_PER_MS]))
hold_up = st.tuples(st.just("hold_up"), st.sampled_from([NS_PER_MS, 30 * NS_PER_MS]))
finish = st.tuples(st.just("finish"), st.integers(0, 5))
lose = st.tuples(st.just("lose"), st.integers(0, 5), st.booleans())
add = st.tuples(st.just("add"))
cancel = st.tuples(st.just("cancel"), st.integers(0, 100))
change = st.tuples(
    st.just("policy"),
    st.integers(1, 8),
    st.sampled_from([0, 0, 3 * NS_PER_MS]),
    st.integers(1, 12),
    st.sampled_from(list(Placement)),
)
actions = st.lists(
    st.one_of(submit, submit, submit, finish, finish, advance, hold_up, lose, add, cancel, change), max_size=80
)


class Checked(Rig):
    """A rig that knows which requests are poison, and checks every batch that an instance is given."""

    def __init__(self, **options):
        self.poison = set()
        self.max_rows = 4
        super().__init__(version=fake_version(trailing=(-1,)), respond=self.respond, **options)

    def respond(self, batch):
        if any(request in self.poison for request in batch.requests):
            return BatchFault("poison", lost=False)
        return echo(batch)

    def check_batches(self):
        for instance in self.instances:
            batch = instance.current
            if batch is None:
                continue
            assert batch.rows == sum(request.rows for request in batch.requests)
            assert len({request.inputs[0].shape[1:] for request in batch.requests}) == 1
            assert batch.rows <= 8 or len(batch.requests) == 1

    def step(self, action):
        name, *arguments = action
        busy = [instance for instance in self.instances if instance.current]
        if name == "submit":
            rows, timeout_ns, trailing, is_poison = arguments
            request = self.request(rows, timeout_ns, trailing)
            if is_poison:
                self.poison.add(request)
            self.submitted += 1
            self.scheduler.submit(request, self.on_done)
        elif name == "advance":
            self.clock.advance(arguments[0])
        elif name == "hold_up":
            self.clock.skip(arguments[0])
        elif name == "finish" and busy:
            busy[arguments[0] % len(busy)].finish()
        elif name == "lose" and self.instances:
            self.group.lose(self.instances[arguments[0] % len(self.instances)], timed_out=arguments[1])
        elif name == "add":
            self.group.add()
        elif name == "cancel" and self.numbers:
            requests = list(self.numbers)
            self.scheduler.cancel(requests[arguments[0] % len(requests)])
        elif name == "policy":
            rows, delay_ns, bound, placement = arguments
            self.scheduler.update_policy(self.version.key, policy(rows, delay_ns, bound, placement))

    def settle(self):
        """Let everything come to its end."""
        while not self.instances:
            self.group.add()
        for _ in range(10_000):
            busy = [instance for instance in self.instances if instance.current]
            if not busy:
                if len(self.answers) == len(self.numbers):
                    return
                self.clock.advance(NS_PER_MS)
            for instance in busy:
                instance.finish()


@settings(max_examples=300, deadline=None)
@given(actions, st.booleans(), st.integers(0, 3))
def test_each_request_is_answered_exactly_once_and_rightly(steps, call_soon, instances):
    rig = Checked(instances=instances, call_soon=call_soon)
    for step in steps:
        rig.step(step)
        rig.check_batches()
    rig.settle()
    rig.clock.advance(2 * NS_PER_S)
    assert set(rig.answers) == set(rig.numbers)
    for request, outcome in rig.answers.items():
        if isinstance(outcome, InferenceResult):
            assert rig.is_right(request)
            assert request not in rig.poison
        elif isinstance(outcome, ExecutionFailed):
            assert outcome.reason is Reason.INSTANCE_LOST or request in rig.poison
        elif isinstance(outcome, Rejected):
            assert request.attempts == 0
            assert outcome.retry_after_ns > 0
        else:
            assert isinstance(outcome, DeadlineExceeded | Cancelled)
    lane = rig.lane
    assert (lane.queue_depth, lane.queue_rows, lane.in_flight, lane.running) == (0, 0, 0, 0)
    assert rig.scheduler._entries == {}
    assert rig.clock.timers == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), max_size=40), st.integers(1, 12))
def test_without_faults_every_request_is_right_and_each_shape_keeps_its_order(sizes, max_rows):
    rig = Rig(version=fake_version(trailing=(-1,)), the_policy=policy(max_rows=max_rows))
    for rows, shape in sizes:
        rig.submit(rows, trailing=(shape + 1,))
    while rig.instances[0].current:
        rig.instances[0].finish()
    assert all(rig.is_right(request) for request in rig.numbers)
    order = [number for batch in rig.batch_numbers() for number in batch]
    assert sorted(order) == list(range(len(sizes)))
    for shape in range(3):
        numbers = [number for number in order if sizes[number][1] == shape]
        assert numbers == sorted(numbers)
    for batch in rig.instances[0].batches:
        assert batch.rows <= max_rows or len(batch.requests) == 1


class Waiting:
    """What the queue needs of a request."""

    def __init__(self, deadline_ns):
        self.deadline_ns = deadline_ns


operations = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(1, 5), st.integers(0, 2), st.integers(0, 20)),
        st.tuples(st.just("take"), st.integers(1, 8), st.integers(0, 20)),
        st.tuples(st.just("discard"), st.integers(0, 50)),
        st.tuples(st.just("drain")),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(operations)
def test_the_queue_agrees_with_a_plain_list(steps):  # noqa: C901  one branch an action
    queue = RequestQueue()
    model: list[tuple[Entry, int]] = []
    for name, *arguments in steps:
        if name == "push":
            rows, key, deadline_ns = arguments
            entry = Entry(Waiting(deadline_ns), rows, print)
            queue.push(entry, key)
            model.append((entry, key))
        elif name == "discard" and model:
            entry, _ = model.pop(arguments[0] % len(model))
            queue.discard(entry)
            queue.discard(entry)
        elif name == "drain":
            assert list(queue.drain()) == [entry for entry, _ in model]
            model.clear()
        elif name == "take" and model:
            max_rows, now_ns = arguments
            group = queue.head_group()
            assert group is not None
            assert group.key == model[0][1]
            taken = queue.take(group, max_rows, now_ns, now_ns)
            expected, expired, rows = [], [], 0
            for entry, key in model:
                if key != group.key:
                    continue
                if rows >= max_rows:
                    break
                if entry.deadline_ns <= now_ns:
                    expired.append(entry)
                elif rows and rows + entry.rows > max_rows:
                    break
                else:
                    expected.append(entry)
                    rows += entry.rows
            assert taken.entries == expected
            assert taken.expired == expired
            assert taken.rows == rows
            gone = {*expected, *expired}  # their states change later, as in the scheduler
            model = [(entry, key) for entry, key in model if entry not in gone]
        assert queue.depth == len(model)
        assert queue.rows == sum(entry.rows for entry, _ in model)
        assert all(entry.group is not None for entry, _ in model)
        assert queue.head_group() is (model[0][0].group if model else None)
