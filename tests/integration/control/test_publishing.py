"""Rows → snapshot, report → rows, seconds → minutes, and what is dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from models_admin.models import ApiKey, MachineSample, MetricSample, Model, ModelVersion, NodeStatus, Policy
from models_admin.models.measurements import MINUTE_S, SECOND_S
from models_admin.publishing.reports import write_report
from models_admin.publishing.snapshot import load_snapshot
from models_admin.selectors import nodes
from models_admin.selectors.load import recent_load, refused_since
from models_admin.services import keys, measurements, models, policies, versions
from models_admin.services.errors import Forbidden, Invalid
from proxy.core.policies import ModelPolicy, Placement
from proxy.core.reports import CacheReport, GpuReport, InstanceReport, MachineReport, ModelSecond, SecondReport
from proxy.core.snapshot import Snapshot
from proxy.metrics import histogram
from tests.integration.control.conftest import ANN, BOB, make_ready, upload

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def snapshot() -> Snapshot:
    loaded = load_snapshot(None)
    assert loaded is not None
    return loaded


def test_a_ready_default_version_is_published_with_its_signature(ready: ModelVersion) -> None:
    net = snapshot().models["net"]
    version = net.versions[1]
    assert net.default_version == 1
    assert net.wanted_instances == 1
    assert version.digest == ready.digest
    assert version.artifact_path.endswith(f"{ready.artifact_id.hex}.safetensors")
    assert version.signature.inputs[0].shape == (-1, 2)
    assert version.key == "net/1"


def test_the_same_generation_is_not_read_again(ready: ModelVersion) -> None:
    known = snapshot().generation
    assert load_snapshot(known) is None
    models.set_loaded(actor=ANN, model=ready.model, loaded=False)
    changed = load_snapshot(known)
    assert changed is not None
    assert changed.generation == known + 1
    assert changed.models["net"].versions == {}
    assert changed.models["net"].wanted_instances == 0


def test_other_versions_are_published_only_while_kept_loaded(model: Model, ready: ModelVersion) -> None:
    other = make_ready(upload(model, 2.0))
    assert set(snapshot().models["net"].versions) == {1}
    versions.set_keep_loaded(actor=ANN, version=other, keep=True)
    assert set(snapshot().models["net"].versions) == {1, 2}
    ModelVersion.objects.filter(pk=other.pk).update(state="failed")
    assert set(snapshot().models["net"].versions) == {1}


def test_one_unreadable_signature_leaves_out_its_version_only(model: Model, ready: ModelVersion) -> None:
    other = make_ready(upload(model, 2.0))
    versions.set_keep_loaded(actor=ANN, version=other, keep=True)
    ModelVersion.objects.filter(pk=other.pk).update(signature={"inputs": "x"})
    assert set(snapshot().models["net"].versions) == {1}


def test_the_default_policy_is_the_data_plane_s_default(model: Model) -> None:
    assert snapshot().models["net"].policy == ModelPolicy()


def test_policies_are_published_in_the_data_plane_s_units(model: Model) -> None:
    policies.update_policy(
        actor=ANN, model=model, placement="round_robin", max_queue_delay_ms=1.5, cache_ttl_s=3, memory_limit_mib=512
    )
    policy = snapshot().models["net"].policy
    assert policy.placement is Placement.ROUND_ROBIN
    assert policy.batching.max_delay_ns == 1_500_000
    assert policy.cache.ttl_ns == 3_000_000_000
    assert policy.execution.memory_limit_bytes == 512 * 2**20


def test_keys_are_published_by_digest_until_revoked(model: Model) -> None:
    key, secret = keys.create_key(actor=ANN, name="ci", scope="inference", all_models=False, models=[model])
    published = snapshot().keys[keys.digest_of(secret)]
    assert published.models == frozenset({"net"})
    assert not published.is_admin
    assert secret not in repr(snapshot())
    keys.revoke_key(actor=ANN, key=key)
    assert snapshot().keys == {}


def test_keys_that_make_no_sense_or_exceed_the_giver_s_rights_are_refused(model: Model) -> None:
    past = timezone.now() - timedelta(seconds=1)
    for changes in (
        {"scope": "root"},
        {"all_models": False},
        {"scope": "admin", "all_models": False, "models": [model]},
        {"may_upload_code": True},
        {"expires_at": past},
        {"name": ""},
    ):
        with pytest.raises(Invalid):
            keys.create_key(actor=ANN, **{"name": "x", "scope": "inference", **changes})  # type: ignore[arg-type]
    with pytest.raises(Forbidden):
        keys.create_key(actor=BOB, name="x", scope="admin", may_upload_code=True)


def report(at: datetime, sequence: int = 1, **of_models: ModelSecond) -> SecondReport:
    return SecondReport(
        sequence=sequence,
        at_unix_s=int(at.timestamp()),
        generation=1,
        total=ModelSecond(requests=sum(second.requests for second in of_models.values())),
        models=of_models,
        versions=(),
        instances=(),
        machine=MachineReport(12.5, (10.0, 15.0), 100, 200, (GpuReport(0, "g", 50, 1, 2, 60, 99.5),)),
    )


def busy(latency_ms: float, count: int) -> ModelSecond:
    counts = {histogram.index(int(latency_ms * 1e6)): count}
    return ModelSecond(
        requests=count, mean_ms=latency_ms, p99_ms=latency_ms, instances=1, busy_ratio=0.5, histogram=counts
    )


def test_a_report_becomes_rows_once(db: None) -> None:
    for _ in range(2):
        write_report(report(NOON, net=busy(2.0, 10), quiet=ModelSecond()))
    assert sorted(MetricSample.objects.values_list("model_name", "requests")) == [("", 10), ("net", 10)]
    machine = MachineSample.objects.get()
    assert (machine.cpu_percent, machine.gpus[0]["temperature_c"]) == (12.5, 60)
    node = NodeStatus.objects.get()
    assert (node.name, node.info["generation"]) == ("web", 1)
    assert [view.late for view in nodes()] == [False]
    assert [view.late for view in nodes(timezone.now() + timedelta(minutes=1))] == [True]


def test_ready_instances_say_how_long_their_executions_take(db: None) -> None:
    ready = InstanceReport("net/1#1", "net", 1, 7, "ready", "cpu", 1.0, 1, 5, 2.51)
    others = (
        replace(ready, service_ewma_ms=4.0),
        replace(ready, service_ewma_ms=None),
        replace(ready, state="loading"),
    )
    write_report(replace(report(NOON), instances=(ready, *others)))
    assert NodeStatus.objects.get().info["service_ms"] == {"net/1": [2.51, 4.0]}


def test_an_instance_s_share_of_a_gpu_is_that_of_the_gpu_it_sits_on(db: None) -> None:
    """Torch counts the GPUs that the environment shows it: its first may be the driver's second."""
    hidden, seen = GpuReport(0, "g", 0, 900, 1_000, 60, 99.5), GpuReport(1, "g", 0, 40, 1_000, 60, 99.5, "", "cuda:0")
    on_gpu = InstanceReport("net/1#1", "net", 1, 7, "ready", "cuda:0", 1.0, 1, 5, 2.5)
    starting = replace(on_gpu, state="loading", device="")
    rows = (on_gpu, on_gpu, starting, replace(on_gpu, model="small", device="cpu"), replace(starting, model="new"))
    machine = replace(report(NOON).machine, gpus=(hidden, seen))
    write_report(replace(report(NOON), instances=rows, machine=machine))
    measured = NodeStatus.objects.get().info["measured"]
    assert {name: of.get("gpu_instance_bytes") for name, of in measured.items()} == {
        "net/1": 20,
        "small/1": None,
        "new/1": None,
    }
    assert measured["net/1"]["device"] == "cuda:0"  # one more that starts does not hide where the others sit


def test_caches_that_nobody_asked_are_not_written_each_second(db: None) -> None:
    unasked = CacheReport("on", 0, 1, 0, "lru", 0, 0, 0, 0, 0)
    caches = {"quiet": unasked, "asked": replace(unasked, misses=1), "passed": replace(unasked, state="bypassed")}
    write_report(replace(report(NOON), caches=caches))
    assert set(NodeStatus.objects.get(name="web").info["caches"]) == {"asked", "passed"}


def test_idle_instances_are_noted_each_few_seconds_and_idle_seconds_are_filled_in(db: None) -> None:
    for second in range(10):
        write_report(report(NOON + timedelta(seconds=second), second, net=ModelSecond(instances=3, cache_bytes=7)))
    assert MetricSample.objects.filter(model_name="net").count() == 2
    load = recent_load("net", now=NOON + timedelta(seconds=10), window_s=15)
    assert [(row.instances, row.cache_bytes) for row in load] == [(3, 7)] * 10
    assert recent_load("other", now=NOON + timedelta(seconds=10), window_s=15) == []


def test_what_was_refused_since_is_added_up_by_model(db: None) -> None:
    for second, refused in enumerate((5, 0, 2)):
        models_then = {"net": ModelSecond(rejections=refused, instances=1), "calm": ModelSecond(instances=1)}
        write_report(replace(report(NOON + timedelta(seconds=second), second, **models_then), total=models_then["net"]))
    assert refused_since(["net", "calm"], NOON) == {"net": 7}
    assert refused_since(["net", "calm"], NOON + timedelta(seconds=1)) == {"net": 2}
    assert refused_since(["net"], NOON + timedelta(seconds=3)) == {}


def test_a_key_that_opened_a_call_is_known_to_have_been_used(model: Model) -> None:
    used, unused = (ApiKey.objects.create(name=name, prefix=name, digest=name) for name in ("used", "unused"))
    write_report(replace(report(NOON), keys_used=(str(used.pk),)))
    used.refresh_from_db()
    unused.refresh_from_db()
    assert (used.last_used_at, unused.last_used_at) == (NOON, None)


def test_minutes_hold_sums_and_true_percentiles(db: None) -> None:
    """59 fast seconds of few answers and one slow second of many: a mean of percentiles would be far off."""
    for second in range(59):
        write_report(report(NOON + timedelta(seconds=second), net=busy(1.0, 1)))
    write_report(report(NOON + timedelta(seconds=59), net=busy(100.0, 941)))
    assert measurements.roll_up(now=NOON + timedelta(seconds=64)) == 0
    assert measurements.roll_up(now=NOON + timedelta(seconds=65)) == 1
    minute = MetricSample.objects.get(resolution_s=MINUTE_S, model_name="net")
    assert minute.at == NOON
    assert minute.requests == 1_000
    assert minute.p50_ms == pytest.approx(100, rel=0.02)
    assert minute.mean_ms == pytest.approx((59 * 1 + 941 * 100) / 1_000)
    assert minute.busy_ratio == pytest.approx(0.5)
    assert sum(minute.histogram.values()) == 1_000
    assert MachineSample.objects.get(resolution_s=MINUTE_S).gpus[0]["utilisation_percent"] == 50


def test_a_minute_s_mean_wait_counts_those_who_waited_and_no_hits(db: None) -> None:
    hits = replace(busy(1.0, 100), cache_hits=99, queue_mean_ms=10.0)
    misses = replace(busy(1.0, 10), queue_mean_ms=1.0)
    write_report(report(NOON, net=hits))
    write_report(report(NOON + timedelta(seconds=1), net=misses))
    measurements.roll_up(now=NOON + timedelta(minutes=2))
    minute = MetricSample.objects.get(resolution_s=MINUTE_S, model_name="net")
    assert minute.queue_mean_ms == pytest.approx((1 * 10 + 10 * 1) / 11)


def test_a_roll_up_twice_or_late_has_the_same_outcome(db: None) -> None:
    for minute in (0, 1, 5):
        write_report(report(NOON + timedelta(minutes=minute), net=busy(1.0, 10)))
    assert measurements.roll_up(now=NOON + timedelta(minutes=10)) == 3
    rows = list(
        MetricSample.objects.filter(resolution_s=MINUTE_S).order_by("at", "model_name").values_list("at", "requests")
    )
    write_report(report(NOON + timedelta(minutes=5, seconds=1), net=busy(1.0, 5)))
    measurements.roll_up(now=NOON + timedelta(minutes=10))
    again = MetricSample.objects.filter(resolution_s=MINUTE_S).order_by("at", "model_name")
    assert [row.requests for row in again] == [10, 10, 10, 10, 15, 15]
    assert [row.at for row in again] == [at for at, _ in rows]


def test_a_model_busy_in_few_seconds_of_a_minute_was_little_busy(db: None) -> None:
    for second in range(60):
        write_report(report(NOON + timedelta(seconds=second), net=busy(1.0, 1) if second < 6 else ModelSecond()))
    measurements.roll_up(now=NOON + timedelta(minutes=2))
    assert MetricSample.objects.get(resolution_s=MINUTE_S, model_name="net").busy_ratio == pytest.approx(0.05)


def test_old_measurements_are_dropped_by_their_resolution(db: None, settings: Any) -> None:
    settings.DLPROXY_KEEP_SECONDS_H, settings.DLPROXY_KEEP_MINUTES_D = 2, 1
    for age, resolution_s in ((1, SECOND_S), (3, SECOND_S), (3, MINUTE_S), (30, MINUTE_S)):
        MetricSample.objects.create(at=NOON - timedelta(hours=age), resolution_s=resolution_s)
    assert measurements.drop_old(now=NOON) == 2
    left = MetricSample.objects.order_by("-at").values_list("resolution_s", flat=True)
    assert list(left) == [SECOND_S, MINUTE_S]


def test_a_policy_row_never_breaks_publishing(model: Model) -> None:
    assert set(Placement) == {choice for choice, _ in Policy._meta.get_field("placement").choices or ()}
