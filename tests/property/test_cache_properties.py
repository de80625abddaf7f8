"""The cache agrees with a plain dict that remembers the order of use; keys with equality of what they are made of."""

from __future__ import annotations

from hashlib import blake2b

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.cache.coalescing import InFlight
from proxy.cache.key import request_key
from proxy.cache.sizes import cost_bytes
from proxy.cache.store import Store
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, Eviction
from proxy.core.tensors import Tensor


def outputs(size):
    return BatchOutputs((Tensor("y", "UINT8", (1, size), bytes(size)),), 1, batched=True)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 400)),
        st.tuples(st.just("get"), st.integers(0, 5)),
        st.tuples(st.just("bound"), st.integers(1, 12_000)),
        st.tuples(st.just("purge"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("sweep"), st.integers(0, 9)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps, st.sampled_from([0, 30]))
def test_the_store_agrees_with_a_plain_model(actions, ttl_ns):  # noqa: C901  one branch an action
    max_bytes, now_ns = 6_000, 0
    store = Store(CachePolicy(max_bytes=max_bytes, ttl_ns=ttl_ns, eviction=Eviction.LRU))
    model: dict[bytes, tuple[BatchOutputs, int]] = {}

    def shrink():
        while sum(cost_bytes(value) for value, _ in model.values()) > max_bytes:
            del model[next(iter(model))]

    for name, number, *rest in actions:
        key = bytes([number % 256])
        if name == "put":
            value = outputs(rest[0])
            store.put(key, value, str(number), now_ns)
            model.pop(key, None)
            if cost_bytes(value) <= max_bytes:
                model[key] = (value, now_ns)
                shrink()
        elif name == "get":
            found = store.get(key, now_ns)
            expected = model.pop(key, None)
            if expected is not None and ttl_ns and now_ns - expected[1] >= ttl_ns:
                expected = None
            if expected is not None:
                model[key] = expected
            assert found is (expected[0] if expected else None)
        elif name == "bound":
            max_bytes = number
            store.apply(CachePolicy(max_bytes=max_bytes, ttl_ns=ttl_ns, eviction=Eviction.LRU))
            shrink()
        elif name == "purge":
            store.purge(str(number))
            model.pop(key, None)
        elif name == "wait":
            now_ns += number
        else:
            store.sweep(now_ns, number)
            for aged in sorted(model, key=lambda kept: model[kept][1])[:number]:
                if ttl_ns and now_ns - model[aged][1] >= ttl_ns:
                    del model[aged]
        assert len(store) == len(model)
        assert store.size_bytes == sum(cost_bytes(value) for value, _ in model.values()) <= max_bytes


names = st.sampled_from(["", "a", "b", "ab", "ba", "\x00", "é"])
tensors = st.builds(
    Tensor,
    names,
    st.sampled_from(["FP32", "INT32", "UINT8"]),
    st.lists(st.integers(-1, 3), max_size=3).map(tuple),
    st.binary(max_size=4),
)
parts = st.tuples(
    st.sampled_from([b"p", b"pp", b""]),
    st.lists(tensors, max_size=3),
    st.none() | st.lists(names, max_size=3).map(tuple),
)


@settings(max_examples=500, deadline=None)
@given(parts, parts)
def test_c1_keys_are_equal_exactly_where_all_parts_are(one, other):
    def canonical(request):
        prefix, inputs, wanted = request
        return prefix, inputs, None if wanted is None else sorted(set(wanted))

    def key(request):
        prefix, inputs, wanted = request
        return request_key(blake2b(prefix), inputs, wanted)

    is_same_key = key(one) == key(other)
    assert is_same_key == (canonical(one) == canonical(other))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["join", "leave", "settle"]), st.integers(0, 2), st.integers(0, 30)), max_size=60
    )
)
def test_f25_every_waiter_is_settled_or_has_left_and_each_key_has_one_leader(actions):
    in_flight: InFlight[object] = InFlight()
    waiting: dict[int, list[object]] = {}
    leaders: dict[int, object] = {}
    for name, key, index in actions:
        here = waiting.get(key, [])
        if name == "join":
            waiter = object()
            is_leader = in_flight.join(key, waiter)
            assert is_leader == (key not in leaders)
            if is_leader:
                leaders[key] = waiter
            waiting.setdefault(key, []).append(waiter)
        elif name == "leave" and here:
            waiter = here.pop(index % len(here))
            last = in_flight.leave(key, waiter)
            assert last is (None if here else leaders[key])
            if not here:
                del waiting[key], leaders[key]
        elif name == "settle":
            assert in_flight.settle(key, object()) == []
            if key in leaders:
                assert in_flight.settle(key, leaders.pop(key)) == waiting.pop(key)
        assert len(in_flight) == len(leaders)
        assert in_flight.leader(key) is leaders.get(key)
