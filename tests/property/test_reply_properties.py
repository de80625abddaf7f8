"""Answers found by a request's raw body are the answers that reading it would give, for as long as those would."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.cache import ResultCache
from proxy.cache.replies import REPLIES_PER_ENTRY
from proxy.cache.sizes import cost_bytes
from proxy.cache.store import Store
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, ModelPolicy
from proxy.core.principals import Principal
from proxy.core.requests import Answer
from proxy.core.snapshot import ModelSnapshot, Snapshot
from proxy.core.tensors import Tensor
from proxy.metrics.metrics import Metrics
from proxy.model_manager.routing import EMPTY_ROUTES, RoutingTable
from proxy.pipeline import Pipeline
from proxy.protocol.limits import Limits
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup, fake_version

VERSIONS = [replace(fake_version("m", 1), digest="a" * 64), replace(fake_version("m", 2), digest="b" * 64)]
CALLER = Principal("key:1", "key:test")


def outputs(size):
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes(size)),), 1, batched=True)


class Side:
    """A whole line with a cache; `raw` bodies may be found without reading them, others never."""

    def __init__(self, kind):
        self.kind = kind
        self.clock = ManualClock()
        self.scheduler = Scheduler(self.clock, self.clock.call_later)
        self.cache = ResultCache(self.clock)
        self.manager = SimpleNamespace(routes=EMPTY_ROUTES, waking={})
        self.line = Pipeline(self.clock, lambda: 0.0, self.manager, self.cache, self.scheduler, Metrics(), Limits())
        for version in VERSIONS:
            group = FakeGroup(version, self.clock, 1, service_ns=0)
            self.scheduler.attach(version.key, group, ModelPolicy())
        self.policy(CachePolicy(ttl_ns=1_000_000))
        self.serve(0)

    def policy(self, policy):
        self.cache.configure("m", policy)

    def serve(self, which):
        """Let one of the versions be the default; every call makes new snapshots."""
        versions = {version.number: replace(version) for version in VERSIONS}
        number = VERSIONS[which].number
        self.manager.routes = RoutingTable({"m": versions}, {"m": number})
        self.line.snapshot = Snapshot(1, {"m": ModelSnapshot("m", versions, number, 1)}, {})

    def ask(self, body):
        answers = []
        call = self.line.open_as(CALLER, "m", None, self.clock.now_ns())
        self.line.run(call, self.kind(body), answers.append)
        for _ in range(50):
            if answers:
                break
            self.clock.advance(1)
        (answer,) = answers
        return answer.status, answer.headers, bytes(answer.body)

    def counted(self):
        return {name: (s.hits, s.misses) for name, s in self.cache.statistics().items()}


def body(value, identity, names):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, 1.0]}
    wanted = {} if names is None else {"outputs": [{"name": name} for name in names]}
    identified = {} if identity is None else {"id": identity}
    return json.dumps({**identified, "inputs": [tensor], **wanted}).encode()


BODIES = st.builds(
    body,
    st.sampled_from([0.0, -0.0, 1.5, "x"]),
    st.sampled_from([None, "1", "2"]),
    st.sampled_from([None, ["y"], ["z"]]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), BODIES),
        st.tuples(st.just("serve"), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(1, 2_000_000)),
        st.tuples(st.just("purge"), st.sampled_from([None, "a" * 64])),
        st.tuples(
            st.just("policy"),
            st.sampled_from([CachePolicy(enabled=False), CachePolicy(), CachePolicy(max_bytes=9_000)]),
        ),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(BODIES, min_size=1, max_size=3), STEPS)
def test_what_is_found_by_its_body_is_what_reading_it_gives(favourites, steps):
    raw, read = Side(bytes), Side(bytearray)
    for name, argument in [
        *(("ask", one) for one in favourites * 3),
        *steps,
        *(("ask", one) for one in favourites * 2),
    ]:
        if name == "ask":
            assert raw.ask(argument) == read.ask(argument)
            continue
        for side in (raw, read):
            if name == "serve":
                side.serve(argument)
            elif name == "wait":
                side.clock.advance(argument)
            elif name == "purge":
                side.cache.purge("m", argument)
            else:
                side.policy(argument)
    if all(step[0] != "policy" for step in steps):  # a smaller bound holds fewer entries where replies count, too
        assert raw.counted() == read.counted()


def test_a_repeated_body_is_read_twice_and_then_found():
    side, one = Side(bytes), body(1.5, "7", None)
    first, hit = side.ask(one), side.ask(one)
    assert len(side.cache._stores["m"]._replies) == 1
    assert side.ask(one) == hit
    assert (b"x-dlproxy-cache", b"hit") in hit[1]
    assert hit[2] == first[2]
    assert side.counted() == {"m": (2, 1)}


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 300)),
        st.tuples(st.just("add"), st.integers(0, 3), st.integers(0, 8), st.integers(0, 1)),
        st.tuples(st.just("reply"), st.integers(0, 8), st.integers(0, 1)),
        st.tuples(st.just("bound"), st.integers(1, 9_000)),
        st.tuples(st.just("purge"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(ACTIONS, st.sampled_from([0, 30]))
def test_replies_live_and_are_paid_for_with_their_entry(actions, ttl_ns):
    store, now_ns = Store(CachePolicy(max_bytes=6_000, ttl_ns=ttl_ns)), 0
    latest, stored_ns = {}, {}
    for name, *rest in actions:
        if name == "put":
            store.put(bytes(rest[:1]), outputs(rest[1]), str(rest[0]), now_ns)
            stored_ns[bytes(rest[:1])] = now_ns
            latest = {place: kept for place, kept in latest.items() if kept[0] != bytes(rest[:1])}
        elif name == "add":
            key, text, version = bytes(rest[:1]), b"body%d" % rest[1], VERSIONS[rest[2]]
            answer = Answer(200, b"answer")
            store.add_reply(version, "t", text, key, answer)
            latest[rest[1], rest[2]] = (key, answer)
        elif name == "reply":
            found = store.reply(VERSIONS[rest[1]], "t", b"body%d" % rest[0], now_ns)
            if found is not None:
                key, answer = latest[rest[0], rest[1]]
                assert found is answer
                assert not ttl_ns or now_ns - stored_ns[key] < ttl_ns
        elif name == "bound":
            store.apply(CachePolicy(max_bytes=rest[0], ttl_ns=ttl_ns))
        elif name == "purge":
            store.purge(str(rest[0]))
            latest = {place: kept for place, kept in latest.items() if kept[0] != bytes(rest)}
        else:
            now_ns += rest[0]
        entries = store._entries.values()
        assert store.size_bytes == sum(entry.size_bytes for entry in entries) <= store.policy.max_bytes
        for entry in entries:
            assert entry.size_bytes == cost_bytes(entry.outputs) + sum(reply.size_bytes for reply in entry.replies)
            assert len(entry.replies) <= REPLIES_PER_ENTRY
        assert len(store._replies) == sum(len(entry.replies) for entry in entries)
