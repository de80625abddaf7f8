"""The tuning tick on measured rows: trials to their end, holds on bad measurements (F36), leases, cost (F32 to F36)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from trial_cast import let_time_pass, measure, proposal, row, verdict

from models_admin.models import (
    AuditEvent,
    Decision,
    MachineSample,
    MetricSample,
    Model,
    ModelVersion,
    NodeStatus,
    Policy,
    Rollout,
    ScalingState,
    TuningState,
)
from models_admin.selectors import tuning as selectors
from models_admin.services import leases, models, policies, scaling, tuning, tuning_trials
from models_admin.services.tuning_writing import LEASE
from models_admin.tasks import tuning as tasks
from models_admin.tasks.tuning import run_tick
from proxy.core.policies import Knob
from proxy.metrics import histogram
from proxy.tuner.tried import Outcome
from proxy.tuner.tuning_view import Advise, Begin, Hold, TuningView, Why
from tests.integration.control.conftest import ANN, BOB, make_ready, upload

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC).replace(microsecond=0)
AUTOMATIC = dict.fromkeys(Knob, "automatic")


@pytest.fixture
def net(ready: ModelVersion) -> Model:
    """A model that is tuned automatically and was left alone for an hour."""
    policies.update_policy(actor=ANN, model=ready.model, tuning_modes=AUTOMATIC)
    let_time_pass(ready.model, NOW)
    return ready.model


def script(monkeypatch: pytest.MonkeyPatch, *steps: Any) -> list[TuningView]:
    """Let the decision say these, one after the other, then hold; returns what it was asked."""
    asked: list[TuningView] = []
    left = list(steps)

    def say(view: TuningView, now_unix_s: float) -> Any:
        del now_unix_s
        asked.append(view)
        return left.pop(0) if left else Hold(Why.NOTHING_PROMISING, "Nothing.")

    monkeypatch.setattr(tasks, "next_step", say)
    return asked


def tick(seconds: float = 0, holder: str = "a") -> None:
    run_tick(holder=holder, now=NOW + timedelta(seconds=seconds))


def state() -> TuningState:
    return TuningState.objects.get()


def policy() -> Policy:
    return Policy.objects.get(model__name="net")


def tried() -> Decision:
    return Decision.objects.get(actor="system:tuner")


# What a look is taken on.


def test_a_look_sees_the_knobs_their_bounds_the_load_and_what_was_said_of_the_cache(
    net: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(NOW, rows_by_bits={"1": 30, "0": 20})
    report = {"state": "on", "bytes": 1, "max_bytes": 2, "entries": 3, "eviction": "lru", "hits": 4, "misses": 5}
    report |= {"insertions": 6, "evictions": 7, "expirations": 8}
    curve = [{"size_bytes": 2**20, "hit_ratio": 0.25, "saved_ms_per_s": 12.5}]
    info: dict[str, Any] = {"caches": {"net": {**report, "curve": curve, "new": 1}, "old": {"state": "on"}}}
    info["service_ms"] = {"net/1": [2.5, 3.5], "net/2": [9.0]}
    NodeStatus.objects.create(name="web", at=NOW, info=info)
    policies.update_policy(actor=ANN, model=net, preferred_batch_rows=[8, 24], max_instances=5, latency_target_ms=40)
    let_time_pass(net, NOW)
    asked = script(monkeypatch)
    tick()
    (view,) = asked
    assert (view.settings.max_batch_rows, view.settings.instances, view.settings.cache_max_mib) == (32, 1, 64)
    assert (view.bounds.max_batch_rows, view.bounds.instances) == ((24, 4_096), (1, 5))
    assert view.bounds.cache_max_mib == (1, 1_024)  # an eighth of the host's 8 GiB
    assert (view.goal.quantile, view.goal.target_ms) == (99, 40.0)
    assert len(view.seconds) == 60
    assert (view.seconds[-1].requests, dict(view.seconds[-1].rows_by_bits)) == (100, {1: 30, 0: 20})
    assert view.cache is not None
    assert (view.cache.misses, view.cache.curve[0].saved_ms_per_s) == (5, 12.5)
    assert view.instance_rule is not None
    assert view.instance_service_ms == [2.5, 3.5]


@pytest.mark.parametrize("age_s", [16, -16, 86_400])
def test_f36_an_old_report_of_the_cache_is_none(net: Model, monkeypatch: pytest.MonkeyPatch, age_s: float) -> None:
    measure(NOW)
    said = dict.fromkeys(
        ("bytes", "max_bytes", "entries", "hits", "misses", "insertions", "evictions", "expirations"), 1
    )
    info = {"caches": {"net": {"state": "on", "eviction": "lru", **said}}}
    NodeStatus.objects.create(name="web", at=NOW - timedelta(seconds=age_s), info=info)
    asked = script(monkeypatch)
    tick()
    assert asked[0].cache is None


def test_seconds_from_before_a_change_of_any_model_s_policy_are_left_out(
    net: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = models.create_model(actor=ANN, name="other")
    policies.update_policy(actor=ANN, model=other, max_batch_rows=8)
    let_time_pass(net, NOW)
    other.policy_revisions.update(at=NOW - timedelta(seconds=20))
    measure(NOW)
    asked = script(monkeypatch)
    tick()
    assert len(asked[0].seconds) == 14  # 20 less the 5 that a change takes to settle; the newest is a second old


def test_a_change_of_modes_or_targets_disturbs_nothing(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    policies.update_policy(actor=ANN, model=net, latency_target_ms=50, tuning_modes={"placement": "off"})
    measure(NOW)
    asked = script(monkeypatch)
    tick()
    assert len(asked[0].seconds) == 60


# A trial from its beginning to its end.


def test_a_trial_is_begun_measured_and_kept(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(NOW)
    asked = script(monkeypatch, Begin(proposal(), {Knob.QUEUE_DELAY: "Nothing to gain."}))
    tick()
    assert policy().max_batch_rows == 64
    assert state().look["words"] == "61 % of the batches leave full."
    assert state().look["by_knob"] == {"max_queue_delay_ms": "Nothing to gain."}
    assert tried().predicted["load"] == 7  # 100 a second
    tick(5)
    assert asked[1].running is not None
    assert asked[1].running.proposal == proposal()
    assert asked[1].running.applied_at_unix_s == NOW.timestamp()
    assert len(asked[1].seconds) == 60
    monkeypatch.setattr(tasks, "next_step", lambda view, now: verdict(Outcome.KEPT, NOW))
    tick(40)
    assert (tried().status, policy().max_batch_rows, state().trial) == ("kept", 64, None)
    assert state().cooldown_until == NOW + timedelta(seconds=10)
    assert state().look["step"] == "keep"


def test_the_real_decision_undoes_what_did_not_help(net: Model) -> None:
    """From the database through the pure decision and back: the same seconds before and after prove nothing."""
    measure(NOW)
    one = proposal()
    fence = leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)
    assert fence is not None
    assert tuning_trials.begin_trial(fence=fence, decision=row(net, one), proposal=one, now=NOW) is not None
    tick(20)
    assert tried().status == "measuring"
    assert "measured for" in state().look["words"]
    measure(NOW + timedelta(seconds=41), seconds=41)
    tick(42, holder="b")
    assert (tried().status, policy().max_batch_rows) == ("undone", 32)
    assert "did not help" in tried().outcome
    assert tried().measured["before"]["p99_ms"] == pytest.approx(tried().measured["after"]["p99_ms"])
    assert tried().measured["after"]["length_s"] == 30
    cooldown = state().cooldown_until
    assert cooldown is not None
    assert cooldown > NOW + timedelta(seconds=42)
    assert len(state().tried) == 1


def test_what_another_model_loses_by_a_trial_undoes_it(net: Model) -> None:
    """Through the real decision: `net` is twice as fast after it, `other` twice as slow."""
    another("other", net)
    for name in ("net", "other"):
        measure(NOW, name=name)
    fence = leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)
    assert fence is not None
    tuning_trials.begin_trial(fence=fence, decision=row(net), proposal=proposal(), now=NOW)
    later = NOW + timedelta(seconds=41)
    for name, ms in (("net", 10), ("other", 40)):
        slow = {"mean_ms": ms, "p99_ms": ms, "histogram": {str(histogram.index(ms * 1_000_000)): 100}}
        measure(later, seconds=41, name=name, **slow)
    tick(42, holder="b")
    assert (tried().status, policy().max_batch_rows) == ("undone", 32)
    assert "other" in tried().outcome


def test_f32_a_trial_that_ran_when_the_loop_died_is_judged_by_the_seconds_that_are_there(net: Model) -> None:
    measure(NOW)
    one = proposal()
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)
    tuning_trials.begin_trial(fence=1, decision=row(net, one), proposal=one, now=NOW)
    measure(NOW + timedelta(seconds=120), seconds=120)
    tick(120, holder="b")
    assert (tried().status, policy().max_batch_rows) == ("undone", 32)
    assert set(tried().measured) == {"before", "after"}


def test_f33_a_trial_whose_seconds_are_gone_is_undone(net: Model) -> None:
    measure(NOW)
    one = proposal()
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)
    tuning_trials.begin_trial(fence=1, decision=row(net, one), proposal=one, now=NOW)
    tick(1_800, holder="b")
    assert (tried().status, policy().max_batch_rows) == ("inconclusive", 32)


def move_knob(net: Model) -> None:
    policies.update_policy(actor=BOB, model=net, max_batch_rows=16)


def change_another_field(net: Model) -> None:
    policies.update_policy(actor=BOB, model=net, threads_per_instance=2)


def unload(net: Model) -> None:
    models.set_loaded(actor=BOB, model=net, loaded=False)


def another_version(net: Model) -> None:
    Model.objects.filter(pk=net.pk).update(default_version=make_ready(upload(net, 2.0)))


def roll_out(net: Model) -> None:
    second = make_ready(upload(net, 2.0))
    Rollout.objects.create(
        model=net, candidate=second, steps=[{"weight_percent": 5, "hold_s": 60}], step_started_at=NOW
    )


def switch_off(net: Model) -> None:
    policies.update_policy(actor=BOB, model=net, tuning_modes={**AUTOMATIC, "max_batch_rows": "off"})


def lose_the_proposal(net: Model) -> None:
    Decision.objects.filter(actor="system:tuner").update(predicted={})


@pytest.mark.parametrize(
    ("happens", "status", "rows", "words"),
    [
        (move_knob, "dismissed", 16, "user:bob set it to 16 rows while it was measured."),
        (change_another_field, "inconclusive", 32, "user:bob changed “Threads per instance” while it was measured."),
        (unload, "inconclusive", 32, "The model was unloaded while it was measured."),
        (another_version, "inconclusive", 32, "Another version came in while it was measured."),
        (roll_out, "inconclusive", 32, "Another version came in while it was measured."),
        (switch_off, "undone", 32, "Tuning of it was switched off while it was measured."),
        (lose_the_proposal, "inconclusive", 32, "What it was expected to do cannot be read any more."),
    ],
)
def test_a_trial_ends_when_what_it_is_measured_under_changes(
    net: Model, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Model], None], status: str, rows: int, words: str
) -> None:
    measure(NOW)
    asked = script(monkeypatch, Begin(proposal()))
    tick()
    happens(net)
    tick(5)
    assert (tried().status, policy().max_batch_rows, tried().outcome) == (status, rows, words)
    assert state().trial is None
    assert len(asked) == 1
    rest_s = (state().cooldown_until - NOW).total_seconds()  # type: ignore[operator]
    assert rest_s == (305 if status == "dismissed" else 40)


def test_a_trial_that_slipped_in_while_tuning_was_frozen_is_undone(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(NOW)
    script(monkeypatch, Begin(proposal()))
    monkeypatch.setattr(tuning_trials, "is_frozen", lambda: False)
    tick()
    tuning.TuningSwitch.objects.create(frozen=True)
    tick(5)
    assert (tried().status, policy().max_batch_rows) == ("undone", 32)
    assert tried().outcome == "All tuning was frozen while it was measured."


# Frozen, or nothing to be known.


def test_while_frozen_the_real_decision_changes_nothing_and_says_so(net: Model) -> None:
    measure(NOW)
    tuning.set_frozen(actor=ANN, frozen=True)
    tick()
    assert state().look["why"] == "frozen"
    assert not Decision.objects.filter(actor="system:tuner").exists()


ABSURD: list[dict[str, Any]] = [
    {"requests": 10**9},
    {"busy_ratio": 1e9},
    {"mean_ms": 1e9},
    {"queue_mean_ms": -1.0},
    {"compute_mean_ms": 1e308},
    {"histogram": {"-1": 5}},
    {"histogram": {"x": 5}},
    {"histogram": {"3": -5}},
    {"histogram": {"3": 1.5}},
    {"rows_by_bits": {"3": True}},
    {"executions": 10**9},
    {"cache_bytes": 2**62},
]


@pytest.mark.parametrize("fields", ABSURD)
def test_f36_absurd_measurements_hold(net: Model, fields: dict[str, Any]) -> None:
    measure(NOW, **fields)
    tick()
    assert state().look["why"] == "absurd_metrics"
    assert not Decision.objects.filter(actor="system:tuner").exists()
    assert (policy().revision, policy().max_batch_rows) == (2, 32)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["busy_ratio", "mean_ms", "queue_mean_ms", "compute_mean_ms"])
def test_f36_numbers_that_are_none_hold(net: Model, monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    """PostgreSQL keeps NaN and infinity, SQLite does not: they are put where rows are read."""
    measure(NOW)
    tuning_seconds = selectors.tuning_seconds

    def read(names: Any, now: datetime) -> dict[str, list[MetricSample]]:
        rows = tuning_seconds(names, now)
        setattr(rows["net"][-3], name, value)
        return rows

    monkeypatch.setattr(selectors, "tuning_seconds", read)
    tick()
    assert state().look["why"] == "absurd_metrics"
    assert policy().revision == 2


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"requests": 1, "executions": 1, "inferences": 1, "histogram": {"60": 1}}, "too_little_load"),
        ({"instances": 0}, "no_instance"),
    ],
)
def test_f36_too_little_to_tell_holds(net: Model, fields: dict[str, Any], why: str) -> None:
    measure(NOW, **fields)
    tick()
    assert state().look["why"] == why
    assert policy().revision == 2


def test_f36_zeros_and_missing_measurements_hold(net: Model) -> None:
    tick()
    assert not TuningState.objects.exists()  # nobody asked for the model: there is nothing to look at
    measure(NOW, requests=0, executions=0, inferences=0, histogram={}, rows_by_bits={}, p99_ms=None, mean_ms=None)
    tick()
    assert not TuningState.objects.exists()
    MetricSample.objects.all().delete()
    measure(NOW - timedelta(seconds=20))
    tick()
    assert state().look["why"] == "stale_metrics"
    assert policy().revision == 2


@pytest.mark.parametrize("ahead_s", [10, 50])
def test_f36_measurements_from_the_future_hold(net: Model, ahead_s: int) -> None:
    measure(NOW + timedelta(seconds=ahead_s))
    tick()
    assert state().look["why"] == "absurd_metrics"
    assert policy().revision == 2


def test_f36_measurements_that_stop_during_a_trial_undo_it(net: Model) -> None:
    measure(NOW)
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)
    tuning_trials.begin_trial(fence=1, decision=row(net), proposal=proposal(), now=NOW)
    tick(50)
    assert tried().status == "measuring"
    tick(70, holder="b")
    assert (tried().status, policy().max_batch_rows) == ("inconclusive", 32)


def test_f36_what_is_not_finite_never_reaches_the_table(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN is no JSON for PostgreSQL: evidence and windows keep None instead."""
    measure(NOW)
    script(monkeypatch, Begin(proposal(evidence={"gain": float("nan"), "rows": 3})))
    tick()
    assert tried().evidence["gain"] is None
    assert tried().predicted["proposal"]["evidence"] == {"gain": None, "rows": 3}


@pytest.mark.parametrize("holder", ["a", "b"])
def test_f36_steps_that_leave_the_bounds_change_nothing(
    net: Model, monkeypatch: pytest.MonkeyPatch, holder: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The decision clamps its steps (tests/unit/tuner); should one be wrong nevertheless, the policy's rules hold."""
    measure(NOW)
    script(monkeypatch, Begin(proposal(after=8_192)))
    tick(holder=holder)
    assert policy().max_batch_rows == 32
    assert "may not be 8192" in caplog.text
    assert state().trial is None


# Leases, repeats, faults, cost.


def test_f34_of_two_controllers_one_acts(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(NOW)
    asked = script(monkeypatch, Begin(proposal()))
    assert leases.acquire(name=LEASE, holder="b", ttl_s=15, now=NOW) == 1
    tick()
    assert asked == []
    tick(16)
    assert policy().max_batch_rows == 64


def test_f34_a_controller_that_lost_the_lease_during_its_tick_changes_nothing(
    net: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    measure(NOW)

    def lose_it(view: TuningView, now_unix_s: float) -> Begin:
        leases.acquire(name=LEASE, holder="b", ttl_s=15, now=NOW + timedelta(seconds=15))
        return Begin(proposal())

    monkeypatch.setattr(tasks, "next_step", lose_it)
    tick()
    assert policy().max_batch_rows == 32
    assert "lease was lost" in caplog.text
    assert not Decision.objects.filter(actor="system:tuner").exists()


def test_f35_a_tick_delivered_twice_has_the_effect_of_one(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    measure(NOW)
    script(monkeypatch, Begin(proposal()), Begin(proposal()))
    tick()
    tick()
    assert tried().status == "measuring"
    assert AuditEvent.objects.filter(action="tuning.try").count() == 1


@pytest.mark.django_db(transaction=True)
def test_f35_of_many_at_once_with_the_same_number_one_begins_the_trial(net: Model) -> None:
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)

    def begin(_number: int) -> bool:
        try:
            decision = row(Model.objects.select_related("default_version").get(pk=net.pk))
            begun = tuning_trials.begin_trial(fence=1, decision=decision, proposal=proposal(), now=NOW)
            return begun is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(begin, range(8))) == 1
    assert (tried().status, policy().max_batch_rows, policy().revision) == ("measuring", 64, 3)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["person", "tuner"])
def test_a_person_s_change_at_the_same_moment_wins(net: Model, first: str) -> None:
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)

    def change(who: str) -> None:
        try:
            if who == "person":
                policies.update_policy(actor=BOB, model=net, max_batch_rows=16)
            else:
                decision = row(Model.objects.select_related("default_version").get(pk=net.pk))
                tuning_trials.begin_trial(fence=1, decision=decision, proposal=proposal(), now=NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(change, sorted(["person", "tuner"], key=lambda who: who != first)))
    assert policy().max_batch_rows == 16
    tick(5)
    assert policy().max_batch_rows == 16
    assert not TuningState.objects.filter(trial__isnull=False).exists()


def another(name: str, net: Model, **modes: str) -> Model:
    other = models.create_model(actor=ANN, name=name)
    Model.objects.filter(pk=other.pk).update(default_version=net.default_version, updated_at=NOW - timedelta(hours=1))
    Policy.objects.filter(model=other).update(tuning_modes=modes or AUTOMATIC)
    return other


def test_models_take_turns(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share the machine: two changes at once could not be told apart, nor one right after another's undoing."""
    other = another("other", net)
    measure(NOW)
    measure(NOW, name="other")
    script(monkeypatch, Begin(proposal()), Begin(proposal()))
    tick()
    assert (policy().max_batch_rows, Policy.objects.get(model=other).max_batch_rows) == (64, 32)
    assert "net is being measured" in TuningState.objects.get(model=other).look["words"]
    script(monkeypatch, verdict(Outcome.UNDONE, NOW), Begin(proposal()))
    tick(40)
    assert (policy().max_batch_rows, Policy.objects.get(model=other).max_batch_rows) == (32, 32)


def test_a_fault_in_one_model_s_look_does_not_keep_others_from_being_tuned(
    net: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    another("a", net)
    measure(NOW)
    measure(NOW, name="a")

    def broken_for_a(view: TuningView, now_unix_s: float) -> Begin:
        del now_unix_s
        if not looked:
            looked.append(view)
            raise KeyError("index")
        return Begin(proposal())

    looked: list[TuningView] = []
    monkeypatch.setattr(tasks, "next_step", broken_for_a)
    tick()
    assert policy().max_batch_rows == 64
    assert "a could not be looked at" in caplog.text


def test_a_model_deleted_during_the_tick_costs_no_other_its_look(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = another("a", net)
    measure(NOW)
    measure(NOW, name="a")
    state_of = tuning_trials.state_of

    def delete_first(model: Model) -> TuningState:
        if model.pk == gone.pk:
            Model.objects.filter(pk=gone.pk).delete()
        return state_of(model)

    monkeypatch.setattr(tuning_trials, "state_of", delete_first)
    script(monkeypatch, Begin(proposal()))
    tick()
    assert policy().max_batch_rows == 64


def fleet(net: Model, count: int) -> list[Model]:
    made = Model.objects.bulk_create(
        [Model(name=f"m{n:04}", default_version=net.default_version) for n in range(count)]
    )
    Policy.objects.bulk_create([Policy(model=model) for model in made])
    ScalingState.objects.bulk_create([ScalingState(model=model) for model in made])
    TuningState.objects.bulk_create([TuningState(model=model) for model in made])
    return made


@pytest.mark.slow
def test_a_thousand_idle_models_cost_no_query_of_their_own(net: Model, django_assert_max_num_queries: Any) -> None:
    measure(NOW)
    tick()
    with django_assert_max_num_queries(26):
        tick(5)
    fleet(net, 1_000)
    with django_assert_max_num_queries(26):
        tick(10)


def test_one_more_busy_model_costs_no_query_of_its_own_until_it_is_changed(
    net: Model, django_assert_max_num_queries: Any
) -> None:
    for model in fleet(net, 10):
        measure(NOW, name=model.name)
    measure(NOW)
    tick()
    with django_assert_max_num_queries(26):
        tick(5)


def test_more_busy_models_than_a_tick_looks_at_take_turns(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models_admin.selectors.tuning.MOST_LOOKS", 3)
    for model in fleet(net, 4):
        measure(NOW, seconds=5, name=model.name)
    tick()
    tick(5)
    assert TuningState.objects.exclude(look={}).count() == 4
    looked_at = {one.model.name: one.look["at"] for one in TuningState.objects.exclude(model=net)}
    assert [name for name, at in looked_at.items() if at == NOW.isoformat()] == ["m0002"]


# Proposals to people.


def test_a_proposal_is_shown_until_it_is_no_longer_true(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    policies.update_policy(actor=ANN, model=net, tuning_modes={})
    measure(NOW)
    card = proposal(Knob.QUEUE_DELAY, 0.0, 0.5)
    asked = script(monkeypatch, Advise(card))
    tick()
    assert (tried().status, policy().max_queue_delay_ms) == ("advised", 0)
    tick(5)
    assert asked[1].advised == [Knob.QUEUE_DELAY]
    Decision.objects.update(at=NOW)
    tick(599)
    assert tried().status == "advised"
    tick(601)
    assert tried().status == "expired"
    assert "last 10 minutes" in tried().outcome


def test_a_proposal_that_looks_confirm_lives_on(net: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    policies.update_policy(actor=ANN, model=net, tuning_modes={})
    card = proposal(Knob.QUEUE_DELAY, 0.0, 0.5)
    measure(NOW)
    script(monkeypatch, Advise(card))
    tick()
    Decision.objects.update(at=NOW)
    monkeypatch.setattr("models_admin.tasks.tuning_cards.propose", lambda view, window: ([card], {}))
    later = NOW + timedelta(seconds=500)
    measure(later)
    script(monkeypatch, Hold(Why.ALL_TRIED, "Waits for a person.", {Knob.QUEUE_DELAY: "Waits."}))
    tick(500)
    tick(1_099)
    assert tried().status == "advised"
    tick(1_101)
    assert tried().status == "expired"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_queue_delay_ms": 2}, "It is 2.0 by now."),
        ({"tuning_modes": {"max_queue_delay_ms": "automatic"}}, "Its mode is another one by now."),
    ],
)
def test_a_proposal_goes_when_a_person_changed_its_knob_or_mode(
    net: Model, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], words: str
) -> None:
    policies.update_policy(actor=ANN, model=net, tuning_modes={})
    measure(NOW)
    script(monkeypatch, Advise(proposal(Knob.QUEUE_DELAY, 0.0, 0.5)))
    tick()
    policies.update_policy(actor=ANN, model=net, **change)
    tick(5)
    assert (tried().status, tried().outcome) == ("expired", words)


def test_the_task_runs_as_beat_sends_it(net: Model) -> None:
    measure(datetime.now(UTC))
    tasks.tune()
    assert state().look["words"]
    MachineSample.objects.all().delete()
    MetricSample.objects.all().delete()
    assert scaling.LEASE != LEASE
