"""Whatever arrives, is cancelled, is lost or fails: each request gets exactly one answer, and it is its own."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.batches import BatchFault, BatchOutputs
from proxy.core.errors import Cancelled, DeadlineExceeded, ExecutionFailed, QuotaExceeded, Reason, Rejected
from proxy.core.policies import BatchingPolicy, Placement
from proxy.core.requests import InferenceResult
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.scheduler.batching import Dispatch, WaitUntil, form_batch
from proxy.scheduler.batching import Waiting as Batching
from proxy.scheduler.entries import Entry
from proxy.scheduler.latency_model import LatencyModel
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
    st.integers(0, 4),
    st.sampled_from(["a", "b", "c"]),
)
advance = st.tuples(st.just("advance"), st.sampled_from([0, 1, NS_PER_MS, 7 * NS_PER_MS, 50 * NS_PER_MS]))
hold_up = st.tuples(st.just("hold_up"), st.sampled_from([NS_PER_MS, 30 * NS_PER_MS]))
finish = st.tuples(st.just("finish"), st.integers(0, 5))
lose = st.tuples(st.just("lose"), st.integers(0, 5), st.booleans())
run_out = st.tuples(st.just("run_out"), st.integers(0, 5))
add = st.tuples(st.just("add"))
cancel = st.tuples(st.just("cancel"), st.integers(0, 100))
change = st.tuples(
    st.just("policy"),
    st.integers(1, 8),
    st.sampled_from([0, 0, 3 * NS_PER_MS]),
    st.integers(1, 12),
    st.sampled_from(list(Placement)),
    st.sampled_from([0, 2]),
    st.sampled_from([0, NS_PER_MS]),
    st.booleans(),
    st.sampled_from([(), (2, 4), (3,)]),
    st.sampled_from([0, 2]),
)
actions = st.lists(
    st.one_of(submit, submit, submit, finish, finish, advance, hold_up, lose, run_out, add, cancel, change), max_size=80
)


def padded_echo(batch):
    """Answers padded rows, too, as an instance must not: nobody may see them even then."""
    result = echo(batch)
    missing = batch.padded_rows - batch.rows
    if missing > 0:
        tensor = result.outputs.tensors[0]
        row_bytes = len(tensor.data) // batch.rows
        padded = Tensor(
            "y", tensor.datatype, (batch.padded_rows, *tensor.shape[1:]), tensor.data + b"\xff" * row_bytes * missing
        )
        result.outputs = BatchOutputs((padded,), batch.padded_rows, batched=True)
    return result


class Checked(Rig):
    """A rig that knows which requests are poison, and checks every batch that an instance is given."""

    def __init__(self, **options):
        self.poison = set()
        self.ran_out = False
        self.max_rows = 4
        super().__init__(version=fake_version(trailing=(-1,)), respond=self.respond, **options)

    def respond(self, batch):
        if any(request.request_id == "poison" for request in batch.requests):
            return BatchFault("poison", lost=False)
        return padded_echo(batch)

    def check_batches(self):
        for instance in self.instances:
            batch = instance.current
            if batch is None:
                continue
            assert batch.rows == sum(request.rows for request in batch.requests)
            assert len({request.inputs[0].shape[1:] for request in batch.requests}) == 1
            assert batch.rows <= 8
            assert batch.padded_rows == 0 or batch.padded_rows > batch.rows

    def step(self, action):  # noqa: C901  one branch an action
        name, *arguments = action
        busy = [instance for instance in self.instances if instance.current]
        if name == "submit":
            rows, timeout_ns, trailing, is_poison, priority, key = arguments
            request_id = "poison" if is_poison else None
            more = {"priority": priority, "principal_id": key, "request_id": request_id}
            request = self.request(rows, timeout_ns, trailing, **more)
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
        elif name == "run_out" and busy:
            busy[arguments[0] % len(busy)].finish(BatchFault("memory", lost=False, out_of_memory=True))
            self.ran_out = True
        elif name == "add":
            self.group.add()
        elif name == "cancel" and self.numbers:
            requests = list(self.numbers)
            self.scheduler.cancel(requests[arguments[0] % len(requests)])
        elif name == "policy":
            rows, delay_ns, bound, placement, level_bound, ageing_ns, is_fair, padded, contended = arguments
            more = {
                "contended_rows": contended,
                "max_requests_per_priority": level_bound,
                "ageing_ns": ageing_ns,
                "fair_share": is_fair,
            }
            changed = policy(rows, delay_ns, bound, placement, padded_rows=padded, **more)
            self.scheduler.update_policy(self.version.key, changed)

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
            assert outcome.reason is Reason.INSTANCE_LOST or request in rig.poison or rig.ran_out
        elif isinstance(outcome, Rejected):
            assert outcome.reason in (Reason.QUEUE_FULL, Reason.PREDICTED_LATE, Reason.FAIR_SHARE)
            assert request.attempts == 0 or request.rows > 1  # a part of it may have run before another was displaced
            assert outcome.retry_after_ns > 0
        else:
            assert isinstance(outcome, DeadlineExceeded | Cancelled | QuotaExceeded)
    lane = rig.lane
    assert (lane.queue_depth, lane.queue_rows, lane.in_flight, lane.running) == (0, 0, 0, 0)
    assert rig.scheduler._register.entries == rig.scheduler._register.splits == {}
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
    parts = [number for batch in rig.batch_numbers() for number in batch]
    order = list(dict.fromkeys(parts))
    assert sorted(order) == list(range(len(sizes)))
    assert [number for number in order for _ in range(-(-sizes[number][0] // max_rows))] == sorted(
        parts, key=order.index
    )
    for shape in range(3):
        numbers = [number for number in order if sizes[number][1] == shape]
        assert numbers == sorted(numbers)
    for batch in rig.instances[0].batches:
        assert batch.rows <= max_rows


class Waiting:
    """What the queue needs of a request."""

    def __init__(self, deadline_ns, queued_ns=0):
        self.deadline_ns = deadline_ns
        self.queued_ns = queued_ns


def line(alpha_ns=0, beta_ns=0, padded=()):
    model = LatencyModel()
    model.alpha_ns, model.beta_ns, model.padded = alpha_ns, beta_ns, padded
    return model


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
def test_for_one_key_and_priority_the_queue_agrees_with_a_plain_list(steps):  # noqa: C901  one branch an action
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
            assert queue.drain() == [entry for entry, _ in model]
            model.clear()
        elif name == "take" and model:
            max_rows, now_ns = arguments
            group = queue.head_group()
            assert group is not None
            assert group.key == model[0][1]
            taken = queue.take(group, max_rows, now_ns, line())
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
        assert all(entry.line is not None for entry, _ in model)
        group = queue.head_group()
        assert (group.key if group else None) == (model[0][1] if model else None)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=60),
    st.integers(0, 6),
)
def test_while_keys_contend_an_idle_instance_takes_the_first_in_order_as_many_as_the_bound_holds(arrivals, bound):
    """Nothing is left waiting beside an idle instance, nobody is passed over, and a lone key is never held back."""
    rig = Rig(the_policy=policy(8, contended_rows=bound))
    (instance,) = rig.instances
    sent = {}
    for key, rows, finished in arrivals:
        sent.setdefault(key, []).append(rig.submit(rows, principal_id=key))
        for _ in range(min(finished, 1)):
            instance.finish()
        waits = rig.lane.queue_depth
        assert instance.current or not waits, "an instance is idle beside what waits"
    while instance.current:
        contends = rig.scheduler._lanes[rig.version.key].queue.contention.is_on
        most = bound if contends and bound else 8
        assert instance.current.rows <= max(most, instance.current.requests[0].rows)
        assert len(sent) > 1 or not contends, "a lone key is held back"
        instance.finish()
    assert all(rig.is_right(request) for requests in sent.values() for request in requests)
    ran = [request for batch in instance.batches for request in batch.requests]
    for requests in sent.values():
        assert [request for request in ran if request in set(requests)] == requests


pushes = st.tuples(st.just("push"), st.integers(1, 4), st.integers(0, 1), st.integers(1, 3), st.sampled_from("abc"))
mixed = st.lists(
    st.one_of(
        pushes,
        pushes,
        st.tuples(st.just("take"), st.integers(1, 8)),
        st.tuples(st.just("discard"), st.integers(0, 50)),
        st.tuples(st.just("displace"), st.integers(1, 3), st.sampled_from("abcd")),
    ),
    max_size=80,
)


@settings(max_examples=300, deadline=None)
@given(mixed, st.sampled_from([0, 3]))
def test_with_keys_and_priorities_order_holds_within_each_and_the_queue_counts_right(steps, ageing_ns):
    queue = RequestQueue()
    queue.ageing_ns = ageing_ns
    waiting: dict[Entry, tuple[int, str, int]] = {}  # level, key, shape; in order of arrival
    for now_ns, (name, *arguments) in enumerate(steps):
        if name == "push":
            rows, shape, level, key = arguments
            entry = Entry(Waiting(10**9, now_ns), rows, print)
            queue.push(entry, shape, level, key, 1 + (key == "b"))
            waiting[entry] = (level, key, shape)
        elif name == "discard" and waiting:
            entry = list(waiting)[arguments[0] % len(waiting)]
            del waiting[entry]
            queue.discard(entry)
        elif name == "take" and waiting:
            group = queue.head_group()
            taken = queue.take(group, arguments[0], now_ns, line())
            assert taken.entries
            assert taken.rows == sum(entry.rows for entry in taken.entries)
            assert taken.rows <= arguments[0] or len(taken.entries) == 1
            levels = [waiting[entry][0] for entry in taken.entries]
            if not ageing_ns:
                assert levels[0] == min(level for level, _, _ in waiting.values())
                assert levels == sorted(levels)
            for entry in taken.entries:
                place = waiting[entry]
                assert place[2] == group.key
                assert entry is next(other for other, where in waiting.items() if where == place)
                del waiting[entry]
        elif name == "displace" and waiting:
            level, key = arguments
            other = queue.displaced_by(level, key, 1)
            if other is not None:
                other_level, other_key, _ = waiting[other]
                assert other_level == max(where[0] for where in waiting.values()) or other_level == level
                assert other_level >= level
                mine = sum(where[:2] == (level, key) for where in waiting.values())
                theirs = sum(where[:2] == (other_level, other_key) for where in waiting.values())
                assert other_level > level or (mine + 1) * (1 + (other_key == "b")) <= theirs - 1
                newest = [entry for entry, where in waiting.items() if where[:2] == (other_level, other_key)][-1]
                assert other is newest
                del waiting[other]
                queue.discard(other)
        assert queue.depth == len(waiting)
        assert queue.rows == sum(entry.rows for entry in waiting)
        assert sum(queue.by_level().values()) == len(waiting)
        assert (queue.head_group() is None) == (not waiting)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 400), st.sampled_from("ab")), min_size=1, max_size=20),
    st.integers(1, 12),
    st.integers(0, 60),
    st.integers(0, 20),
    st.sampled_from([(), (4, 8, 12)]),
)
def test_nobody_who_would_be_in_time_alone_is_made_late_by_joining(requests, max_rows, alpha_ns, beta_ns, padded):
    queue = RequestQueue()
    pace = line(alpha_ns, beta_ns, padded)
    for rows, deadline_ns, key in requests:
        queue.push(Entry(Waiting(deadline_ns), rows, print), None, 1, key)
    taken = queue.take(queue.head_group(), max_rows, 0, pace)
    finish_ns = pace.predict_ns(taken.rows)
    for entry in taken.entries:
        assert entry.deadline_ns >= finish_ns or entry.deadline_ns < pace.predict_ns(entry.rows)
    assert taken.entries or queue.depth == 0
    for entry in taken.expired:  # dropped early only where others fill the batch in its place
        assert sum(rows for rows, _, _ in requests) - entry.rows >= max_rows


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(0, 1_000),
    st.integers(1, 2_000),
    st.integers(0, 500),
    st.integers(0, 50),
    st.integers(0, 500),
    st.integers(0, 1_000),
    st.lists(st.integers(1, 40), max_size=3).map(lambda sizes: tuple(sorted(set(sizes)))),
)
def test_a_batch_that_waits_waits_to_a_later_moment_at_which_it_leaves(
    rows, max_rows, oldest_ns, deadline_ns, alpha_ns, beta_ns, gap_ns, delay_ns, preferred
):
    """No busy wait: asked again at that moment, with nothing new, it goes; and nobody is late for having waited."""
    now_ns = 1_000
    policy_ = BatchingPolicy(max_rows, delay_ns, preferred)
    pace = line(alpha_ns, beta_ns)
    waiting = Batching(rows, rows, oldest_ns, now_ns + deadline_ns, gap_ns, min(oldest_ns + 5, now_ns))
    decision = form_batch(waiting, pace, max_rows, policy_, now_ns)
    if isinstance(decision, WaitUntil):
        assert now_ns < decision.at_ns <= oldest_ns + delay_ns
        assert decision.at_ns + pace.predict_ns(rows) <= waiting.deadline_ns
        assert rows < max_rows
        assert isinstance(form_batch(waiting, pace, max_rows, policy_, decision.at_ns), Dispatch)
    elif decision.rows:
        assert decision.rows in preferred
        assert decision.rows <= rows
