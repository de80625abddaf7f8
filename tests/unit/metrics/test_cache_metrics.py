"""What Prometheus is told of the caches: values, states, and labels that only the registry and enums can give."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from proxy.cache.breaker import BreakerState
from proxy.cache.bypass import CacheState
from proxy.core.reports import (
    BREAKER_STATES,
    CACHE_STATES,
    CacheReport,
    MachineReport,
    ModelSecond,
    SecondLevelReport,
    SecondReport,
)
from proxy.metrics import names
from proxy.metrics.metrics import Metrics

CACHE = CacheReport(
    state="bypassed",
    bytes=5,
    max_bytes=1_000,
    entries=2,
    eviction="lru",
    hits=10,
    misses=20,
    insertions=19,
    evictions=3,
    expirations=4,
    refused=1,
    message="Bypassed: the words are not a label.",
    saved_ms=2_500.0,
    second_level=SecondLevelReport(hits=6, misses=7, errors=8, corrupt=9, writes=5, state="open", message="refused"),
)


def exposed(caches):
    machine = MachineReport(0.0, (), 0, 1)
    report = SecondReport(1, 100, 1, ModelSecond(), {}, (), (), machine, caches=caches)
    text = Metrics().exposition(report).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_caches_numbers_are_told():
    found, model = exposed({"m": CACHE}), ("model", "m")
    assert found["dlproxy_cache_max_bytes", (model,)] == 1_000
    assert found["dlproxy_cache_entries", (model,)] == 2
    assert found["dlproxy_cache_insertions_total", (model,)] == 19
    assert found["dlproxy_cache_evictions_total", (model,)] == 3
    assert found["dlproxy_cache_expirations_total", (model,)] == 4
    assert found["dlproxy_cache_refused_total", (model,)] == 1
    assert found["dlproxy_cache_saved_seconds_total", (model,)] == 2.5
    assert found["dlproxy_cache_state", (model, ("state", "bypassed"))] == 1
    assert found["dlproxy_cache_state", (model, ("state", "on"))] == 0
    for result, count in (("hit", 6), ("miss", 7), ("error", 8), ("corrupt", 9)):
        assert found["dlproxy_cache_second_level_lookups_total", (model, ("result", result))] == count
    assert found["dlproxy_cache_second_level_writes_total", (model,)] == 5
    assert found["dlproxy_cache_second_level_state", (("state", "open"),)] == 1


def test_a_server_without_a_shared_cache_says_nothing_of_one():
    found = exposed({"m": replace(CACHE, second_level=None)})
    assert not [name for name, _ in found if "second_level" in name]


def test_the_labels_are_bounded_whatever_the_reports_say():
    caches = {f"m{number}": replace(CACHE, state=f"word {number}", message=f"{number}") for number in range(50)}
    labels_of = {(name, label) for name, labels in exposed(caches) for label in labels if "cache" in name}
    values = {value for _, (label, value) in labels_of if label != "model"}
    assert values <= {*CACHE_STATES, *BREAKER_STATES, "hit", "miss", "error", "corrupt"}
    assert {value for _, (label, value) in labels_of if label == "model"} == set(caches)


def test_the_states_told_are_those_that_there_are():
    assert set(CACHE_STATES) == {state.value for state in CacheState}
    assert set(BREAKER_STATES) == {state.value for state in BreakerState}


def test_tritons_names_for_the_cache_are_kept():
    kept = {metric.name for metric in names.NAMES}
    assert {"nv_cache_num_hits_per_model", "nv_cache_num_misses_per_model"} <= kept
    assert {"nv_cache_hit_duration_per_model", "nv_cache_miss_duration_per_model"} <= kept
