"""What a second says, and what the exposition says of all seconds."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.core.errors import Reason
from proxy.core.reports import GpuReport, MachineReport, VersionReport
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.metrics import names
from proxy.metrics.metrics import MAX_SERIES, Metrics
from proxy.metrics.window import NOT_ERRORS, REJECTIONS

GPU = GpuReport(0, "H100", 50, 10, 20, 40, 99.5, "GPU-1")
MACHINE = MachineReport(25.0, (20.0, 30.0), 1, 2, gpus=(GPU,))


@dataclass
class Lane:
    queue_depth: int = 0
    in_flight: int = 0
    ready: int = 1
    busy_ns: int = 0


@dataclass
class Cache:
    bytes: int = 0


def ok(metrics, model="m", latency_ns=NS_PER_MS, queue_ns=0, cache=None, times=1):
    for _ in range(times):
        metrics.on_answer(model, 200, None, latency_ns, queue_ns, 1_000, cache)


def refused(metrics, reason, model="m", status=503):
    metrics.on_answer(model, status, reason, 5, 0, 0, None)


def second(metrics, at_unix_s=100, lanes=None, cache=None, versions=()):
    return metrics.second(at_unix_s, 1, 7, lanes or {}, cache or {}, versions, (), MACHINE)


def samples(metrics, report=None):
    text = metrics.exposition(report).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_second_counts_answers_and_reads_their_percentiles():
    metrics = Metrics()
    ok(metrics, latency_ns=10 * NS_PER_MS, queue_ns=2 * NS_PER_MS, cache=False, times=99)
    ok(metrics, latency_ns=1_000 * NS_PER_MS, queue_ns=0, cache=True)
    report = second(metrics).models["m"]
    assert (report.requests, report.cache_hits, report.cache_misses) == (100, 1, 99)
    assert report.p50_ms == pytest.approx(10, rel=0.016)
    assert report.p99_ms == pytest.approx(10, rel=0.016)
    assert report.mean_ms == pytest.approx(19.9)
    assert report.queue_mean_ms == pytest.approx(2)
    assert sum(report.histogram.values()) == 100


def test_a_second_without_answers_has_no_percentiles():
    report = second(Metrics(), lanes={"m/1": Lane()}).models["m"]
    assert (report.p50_ms, report.mean_ms, report.queue_mean_ms, report.requests) == (None, None, None, 0)


def test_a_window_begins_empty():
    metrics = Metrics()
    ok(metrics)
    metrics.on_execution("m/1", 3, 2, 10)
    second(metrics)
    report = second(metrics, 101, lanes={"m/1": Lane()})
    assert report.models["m"].requests == report.models["m"].executions == report.total.requests == 0


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_is_a_rejection_an_error_or_neither(reason):
    metrics = Metrics()
    refused(metrics, reason)
    report = second(metrics).models["m"]
    assert report.requests == 0
    assert report.rejections == (reason in REJECTIONS)
    assert report.errors == (reason not in REJECTIONS | NOT_ERRORS)


@pytest.mark.parametrize(
    ("reason", "rejections", "errors"),
    [
        (Reason.REPEAT_OFFENDER, 0, 0),  # neither asks for instances nor condemns a candidate
        (Reason.OVERSIZE, 0, 1),
        (Reason.INVALID_SHAPE, 0, 1),
        (Reason.NO_ROOM, 1, 0),
        (Reason.FAIR_SHARE, 1, 0),
    ],
)
def test_what_load_refused_is_told_from_what_a_client_did(reason, rejections, errors):
    metrics = Metrics()
    refused(metrics, reason)
    report = second(metrics).models["m"]
    assert (report.rejections, report.errors) == (rejections, errors)


def test_the_total_takes_in_every_model_and_those_who_named_none():
    metrics = Metrics()
    ok(metrics, "a")
    ok(metrics, "b")
    refused(metrics, Reason.INVALID_JSON, "", 400)
    metrics.on_execution("a/1", 3, 2, 10)
    metrics.on_execution("b/2", 4, 1, 10)
    report = second(metrics, lanes={"a/1": Lane(1, 2, 1), "a/2": Lane(3, 4, 1), "b/2": Lane(5, 6, 2)})
    assert set(report.models) == {"a", "b"}
    assert (report.total.requests, report.total.errors, report.total.inferences) == (2, 1, 7)
    assert (report.total.queue_depth, report.total.in_flight, report.total.instances) == (9, 12, 4)
    assert (report.models["a"].queue_depth, report.models["a"].in_flight, report.models["a"].instances) == (4, 6, 2)
    assert report.generation == 7


def test_the_busy_share_is_of_the_ready_instances_over_the_window():
    metrics = Metrics()
    second(metrics, 100, lanes={"m/1": Lane(ready=2, busy_ns=5 * NS_PER_S)})
    report = second(metrics, 102, lanes={"m/1": Lane(ready=2, busy_ns=6 * NS_PER_S)})
    assert report.models["m"].busy_ratio == pytest.approx(0.25)
    report = second(metrics, 103, lanes={"m/1": Lane(ready=2, busy_ns=9 * NS_PER_S)})
    assert report.models["m"].busy_ratio == 1.0
    report = second(metrics, 104, lanes={"m/1": Lane(ready=1, busy_ns=NS_PER_S // 2)})
    assert report.models["m"].busy_ratio == pytest.approx(0.5)
    report = second(metrics, 105, lanes={"m/1": Lane(ready=0, busy_ns=NS_PER_S)})
    assert report.models["m"].busy_ratio == 0


@pytest.mark.parametrize("at_unix_s", [100, 50, 10**9])
def test_a_jump_of_the_wall_clock_leaves_the_busy_share_within_bounds(at_unix_s):
    metrics = Metrics()
    second(metrics, 100, lanes={"m/1": Lane(busy_ns=0)})
    report = second(metrics, at_unix_s, lanes={"m/1": Lane(busy_ns=NS_PER_S)})
    assert 0 < report.models["m"].busy_ratio <= 1


def test_the_exposition_is_valid_and_holds_totals_of_all_seconds():
    metrics = Metrics()
    ok(metrics, "m/1", cache=False)
    metrics.on_execution("m/1", 5, 2, NS_PER_S)
    second(metrics)
    ok(metrics, "m/1", latency_ns=40 * NS_PER_S, cache=True)
    refused(metrics, Reason.QUEUE_FULL, "m/1")
    metrics.on_execution("m/1", 1, 1, NS_PER_S)
    versions = (VersionReport("m", 1, "ready", True, 1, 1, restarts=3),)
    found = samples(metrics, second(metrics, lanes={"m/1": Lane(9)}, cache={"m": Cache(77)}, versions=versions))
    model, version = ("model", "m"), ("version", "1")  # the parser gives every counter's samples the suffix _total
    assert found["dlproxy_requests_total", (model, ("outcome", "ok"))] == 2
    assert found["dlproxy_requests_total", (model, ("outcome", "queue_full"))] == 1
    assert found["dlproxy_request_duration_seconds_bucket", (("le", "0.0025"), model)] == 1
    assert found["dlproxy_request_duration_seconds_bucket", (("le", "30.0"), model)] == 1
    assert found["dlproxy_request_duration_seconds_bucket", (("le", "+Inf"), model)] == 2
    assert found["dlproxy_request_duration_seconds_count", (model,)] == 2
    assert found["dlproxy_inferences_total", (model, version)] == 6
    assert found["dlproxy_batch_rows_bucket", (("le", "1"), model, version)] == 1
    assert found["dlproxy_batch_rows_bucket", (("le", "4"), model, version)] == 1
    assert found["dlproxy_batch_rows_bucket", (("le", "8"), model, version)] == 2
    assert found["dlproxy_execution_seconds_total", (model, version)] == 2
    assert found["dlproxy_cache_bytes", (model,)] == 77
    assert found["dlproxy_queue_depth", (model,)] == 9
    assert found["dlproxy_instance_restarts_total", (model, version)] == 3
    assert found["nv_inference_request_success_total", (model, version)] == 2
    assert found["nv_inference_request_failure_total", (model, ("reason", "REJECTED"), version)] == 1
    assert found["nv_inference_exec_count_total", (model, version)] == 2
    assert found["nv_inference_compute_infer_duration_us_total", (model, version)] == 3_000_000
    assert found["nv_cache_num_hits_per_model_total", (model, version)] == 1
    assert found["nv_inference_pending_request_count", (model, version)] == 9
    assert found["nv_gpu_power_usage", (("gpu_uuid", "GPU-1"),)] == 99.5
    assert found["nv_cpu_utilization", ()] == 0.25
    assert found["dlproxy_gpu_power_watts", (("gpu", "0"),)] == 99.5
    assert found["dlproxy_cpu_busy_ratio", ()] == 0.25


def test_a_second_tells_the_versions_of_a_model_apart_and_sums_them_up():
    metrics = Metrics()
    ok(metrics, "m/1", latency_ns=NS_PER_MS, times=9)
    ok(metrics, "m/2", latency_ns=8 * NS_PER_MS, times=3)
    refused(metrics, Reason.MODEL_ERROR, "m/2", 500)
    refused(metrics, Reason.INVALID_JSON, "m", 400)
    metrics.on_execution("m/2", 5, 2, NS_PER_S)
    lanes = {"m/1": Lane(1, 2, 3, NS_PER_S), "m/2": Lane(4, 5, 1, 0), "m/3": Lane()}
    report = second(metrics, lanes=lanes)
    first, new = report.by_version["m/1"], report.by_version["m/2"]
    assert (first.requests, first.errors, first.instances, first.queue_depth) == (9, 0, 3, 1)
    assert (new.requests, new.errors, new.inferences, new.executions) == (3, 1, 5, 1)
    assert new.p99_ms == pytest.approx(8, rel=0.05)
    assert first.p99_ms == pytest.approx(1, rel=0.05)
    whole = report.models["m"]
    assert (whole.requests, whole.errors, whole.queue_depth, whole.instances) == (12, 2, 5, 5)
    assert set(report.by_version) == {"m/1", "m/2", "m/3"}, "an answer before a version was chosen is no version's"
    assert set(second(metrics, 101, lanes={"m/1": Lane()}).by_version) == {"m/1"}


def test_the_exposition_counts_what_the_window_has_not_closed_over_yet():
    metrics = Metrics()
    ok(metrics)
    assert samples(metrics)["dlproxy_requests_total", (("model", "m"), ("outcome", "ok"))] == 1
    assert samples(metrics)["dlproxy_requests_total", (("model", "m"), ("outcome", "ok"))] == 1


def test_the_exposition_escapes_its_labels():
    metrics = Metrics()
    hostile = 'a"} 1\nx{b="\\'
    ok(metrics, hostile)
    assert b"\nnv_inference_request_success{" in metrics.exposition(None)
    found = samples(metrics)
    assert found["dlproxy_requests_total", (("model", hostile), ("outcome", "ok"))] == 1
    assert {name for name, _ in found} <= {
        suffixed for metric in names.NAMES for suffixed in (metric.name, *(metric.name + s for s in SUFFIXES))
    }


SUFFIXES = ("_bucket", "_sum", "_count", "_total")


def test_buckets_of_the_exposition_never_fall():
    metrics = Metrics()
    for exponent in range(10, 42):
        ok(metrics, latency_ns=1 << exponent)
    counts = [
        value for (name, labels), value in samples(metrics).items() if name == "dlproxy_request_duration_seconds_bucket"
    ]
    assert counts == sorted(counts)
    assert counts[-1] == 32


def test_models_that_are_gone_leave_the_exposition():
    metrics = Metrics()
    ok(metrics)
    metrics.on_execution("m/1", 1, 1, 1)
    second(metrics, 100, cache={"m": Cache()})
    assert samples(metrics)
    second(metrics, 101)
    assert samples(metrics) == {}


def test_names_beyond_the_wall_are_counted_under_the_empty_name():
    metrics = Metrics()
    for number in range(MAX_SERIES + 50):
        ok(metrics, f"m{number}")
        metrics.on_execution(f"m{number}/1", 1, 1, 1)
    report = second(metrics)
    assert len(report.models) <= MAX_SERIES + 1
    assert report.total.requests == MAX_SERIES + 50


def test_every_name_follows_the_conventions_and_appears_once():
    seen = [metric.name for metric in names.NAMES]
    assert len(seen) == len(set(seen))
    for metric in names.NAMES:
        assert metric.help.endswith(".")
        assert metric.name.startswith(("dlproxy_", "nv_"))
        if metric.name.startswith("dlproxy_"):
            assert metric.name.endswith("_total") == (metric.kind is names.Kind.COUNTER) or "memory" in metric.name


def test_an_answer_without_a_reason_that_is_not_200_is_an_internal_error():
    metrics = Metrics()
    metrics.on_answer("m", 500, None, 1, 0, 0, None)
    assert second(metrics).models["m"].errors == 1


def test_an_answer_of_no_rows_is_counted():
    metrics = Metrics()
    metrics.on_execution("m/1", 0, 1, 5)
    assert second(metrics).models["m"].executions == 1
