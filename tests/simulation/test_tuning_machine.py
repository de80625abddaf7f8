"""The fast machine that tuning is judged on does what the real scheduler does, and the same each time."""

from __future__ import annotations

import pytest

from proxy.core.policies import BatchingPolicy, ModelPolicy
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.testing.simulation import Cost, Simulation
from proxy.testing.traffic import Arrival
from proxy.testing.tuning_machine import Machine
from proxy.testing.tuning_model import Kind, SimulatedModel
from proxy.testing.tuning_traces import Mix, Trace
from proxy.tuner.knobs import Settings
from proxy.tuner.windows import window_from

SECONDS = 6


def trace_of(per_s, **mix):
    return Trace("test", lambda _: per_s, lambda _: Mix(**mix))


def machine(per_s, settings, kind, seed=1, **mix):
    return Machine([SimulatedModel(kind, trace_of(per_s, **mix), settings, seed)])


@pytest.mark.parametrize("max_rows", [4, 32])
@pytest.mark.parametrize("delay_ms", [0.0, 5.0])
@pytest.mark.parametrize("per_s", [200, 600])
def test_latencies_and_batches_are_those_of_the_real_scheduler(per_s, delay_ms, max_rows):
    settings = Settings(instances=2, max_batch_rows=max_rows, max_queue_delay_ms=delay_ms)
    fast = machine(per_s, settings, Kind(5.0, 0.5, 0.1))
    window = window_from([fast.run_second()[0] for _ in range(SECONDS)])
    policy = ModelPolicy(batching=BatchingPolicy(max_rows, int(delay_ms * NS_PER_MS)))
    real = Simulation(policy, cost=Cost(5 * NS_PER_MS, NS_PER_MS // 2, 0.1), slowness=(1.0, 1.0))
    requests = [request for second in range(SECONDS) for request in trace_of(per_s).second(second, 1)]
    outcome = real.run([Arrival(one.at_ns, timeout_ns=2 * NS_PER_S) for one in requests], SECONDS)
    assert window.rows_per_execution == pytest.approx(outcome.rows_an_execution, rel=0.05)
    assert window.p50_ms == pytest.approx(outcome.quantile_ms(0.5), rel=0.06)
    assert window.p99_ms == pytest.approx(outcome.quantile_ms(0.99), rel=0.12)


def test_every_request_is_answered_refused_or_still_there():
    over = machine(900, Settings(instances=1, max_batch_rows=2, concurrency_limit=50), Kind(5.0, 1.0))
    told = [over.run_second()[0] for _ in range(3)]
    sent = sum(len(trace_of(900).second(second, 1)) for second in range(3))
    assert sum(one.requests + one.rejections for one in told) + told[-1].in_flight + told[-1].queue_depth == sent
    assert all(one.in_flight + one.queue_depth <= 50 for one in told)
    assert told[-1].busy_ratio == pytest.approx(1.0, abs=0.01)


def test_hits_do_not_reach_the_model_and_a_cache_keeps_its_bound():
    cached = machine(300, Settings(cache_max_mib=1), Kind(1.0, 0.1), keys=50, once=0.2, answer_bytes=65_536)
    told = [cached.run_second()[0] for _ in range(3)]
    assert all(one.cache_bytes <= 2**20 for one in told)
    assert 0 < told[-1].cache_hits < told[-1].requests
    assert told[-1].inferences == pytest.approx(told[-1].requests - told[-1].cache_hits, abs=3)


def test_models_that_share_cores_slow_each_other_down():
    kind, settings = Kind(20.0, 0.0, 0.0), Settings(instances=2)

    def mean_ms(cores):
        models = [SimulatedModel(kind, Trace(name, lambda _: 60.0, lambda _: Mix()), settings, 1) for name in "ab"]
        both = Machine(models, cores)
        return window_from([both.run_second()[0] for _ in range(3)]).mean_ms

    assert mean_ms(1) > 1.3 * mean_ms(8)


def test_an_instance_takes_its_time_to_be_ready():
    grown = machine(10, Settings(instances=1), Kind(load_s=2.0))
    grown.run_second()
    grown.models[0].apply(Settings(instances=2), NS_PER_S)
    assert [grown.run_second()[0].instances for _ in range(3)] == [1, 2, 2]


def test_the_same_seed_gives_the_same_seconds():
    runs = [[machine(100, Settings(), Kind(), seed).run_second() for _ in range(2)] for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
