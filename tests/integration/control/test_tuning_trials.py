"""What the tuning loop writes: trials begun, kept, undone and called off, cards; fencing, repeats, people's changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from trial_cast import proposal, row, verdict

from models_admin.models import AuditEvent, Decision, Model, ModelVersion, Policy, PolicyRevision, TuningState
from models_admin.models.control import DecisionStatus
from models_admin.publishing.snapshot import current_generation
from models_admin.services import leases, policies, tuning, tuning_trials
from models_admin.services.errors import Conflict, Invalid
from models_admin.services.tuning_writing import LEASE
from proxy.core.policies import Knob
from proxy.tuner.tried import Outcome, from_json
from proxy.tuner.tuning_rows import to_row
from tests.integration.control.conftest import ANN

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)
LATER = NOW + timedelta(seconds=10)


@pytest.fixture
def net(ready: ModelVersion) -> Model:
    """A model whose largest batch is tuned automatically, and the first lease's number taken."""
    policies.update_policy(actor=ANN, model=ready.model, tuning_modes={Knob.BATCH_ROWS: "automatic"})
    assert leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW) == 1
    AuditEvent.objects.all().delete()
    return ready.model


def begin(net: Model, **changes: Any) -> Decision | None:
    one = proposal(**changes)
    return tuning_trials.begin_trial(fence=1, decision=row(net, one), proposal=one, now=NOW)


def conclude(net: Model, outcome: Outcome) -> Decision | None:
    step, trial = verdict(outcome, NOW), Decision.objects.exclude(predicted={}).latest("pk")
    return tuning_trials.conclude(fence=1, model=net, trial=trial, step=step, cooldown_until=LATER)


def rows_now(net: Model) -> int:
    return Policy.objects.get(model=net).max_batch_rows


def test_a_trial_moves_its_knob_as_a_person_would_and_says_before_what_it_expects(net: Model) -> None:
    generation, revision = current_generation(), Policy.objects.get().revision
    decision = begin(net)
    assert decision is not None
    decision.refresh_from_db()
    assert rows_now(net) == 64
    assert (decision.status, decision.actor, decision.applied_at) == ("measuring", "system:tuner", NOW)
    assert (decision.from_value, decision.to_value, decision.reason) == ("32", "64", "batches_full")
    assert decision.expected.startswith("p99 31 → 22 ms")
    assert {key: decision.predicted[key] for key in ("metric", "before", "after", "better", "load", "version")} == {
        "metric": "p99_ms", "before": 31.0, "after": 22.0, "better": "lower", "load": 6, "version": 1
    }  # fmt: skip
    assert decision.predicted["proposal"] == to_row(proposal())
    assert current_generation() == generation + 1
    kept = PolicyRevision.objects.first()
    assert kept is not None
    assert (kept.revision, kept.actor, kept.changes) == (revision + 1, "system:tuner", {"max_batch_rows": [32, 64]})
    assert decision.evidence["policy_revision"] == revision + 1
    assert TuningState.objects.get().trial == decision
    actions = AuditEvent.objects.values_list("action", "actor")
    assert set(actions) == {("policy.update", "system:tuner"), ("tuning.try", "system:tuner")}
    assert Decision.objects.filter(knob="max_batch_rows").count() == 1


def test_a_trial_that_helped_is_kept(net: Model) -> None:
    begin(net)
    decision = conclude(net, Outcome.KEPT)
    assert decision is not None
    decision.refresh_from_db()
    assert rows_now(net) == 64
    assert (decision.status, decision.outcome) == ("kept", "p99 31 → 30 ms: kept.")
    assert decision.settled_at is not None
    state = TuningState.objects.get()
    assert (state.trial, state.cooldown_until) == (None, LATER)
    assert [one.outcome for one in from_json(state.tried)] == [Outcome.KEPT]


@pytest.mark.parametrize("outcome", [Outcome.UNDONE, Outcome.INCONCLUSIVE])
def test_a_trial_that_did_not_help_is_undone_in_its_own_row(net: Model, outcome: Outcome) -> None:
    begin(net)
    generation = current_generation()
    decision = conclude(net, outcome)
    assert decision is not None
    assert rows_now(net) == 32
    assert Decision.objects.get(pk=decision.pk).status == outcome.value
    assert Decision.objects.filter(knob="max_batch_rows").count() == 1
    assert current_generation() == generation + 1
    newest = PolicyRevision.objects.first()
    assert newest is not None
    assert (newest.actor, newest.changes) == ("system:tuner", {"max_batch_rows": [64, 32]})


def test_f35_a_step_delivered_twice_has_the_effect_of_one(net: Model) -> None:
    begin(net)
    assert begin(net) is None
    assert conclude(net, Outcome.UNDONE) is not None
    assert conclude(net, Outcome.UNDONE) is None
    assert len(TuningState.objects.get().tried) == 1
    assert PolicyRevision.objects.filter(actor="system:tuner").count() == 2
    card = proposal(Knob.QUEUE_DELAY, 0.0, 0.5)
    assert tuning_trials.advise(fence=1, card=row(net, card)) is not None
    assert tuning_trials.advise(fence=1, card=row(net, card)) is None
    assert Decision.objects.filter(status=DecisionStatus.ADVISED).count() == 1


def test_a_verdict_is_its_trials_alone_though_another_was_begun_meanwhile(net: Model) -> None:
    first = begin(net)
    assert first is not None
    tuning.undo_decision(actor=ANN, decision=first)
    card = row(net, proposal(Knob.QUEUE_DELAY, 0.0, 0.5))
    card.status = DecisionStatus.ADVISED
    card.save()
    second = tuning.apply_advice(actor=ANN, decision=card)
    for step in (verdict(Outcome.KEPT, NOW), verdict(Outcome.UNDONE, NOW)):
        assert tuning_trials.conclude(fence=1, model=net, trial=first, step=step, cooldown_until=LATER) is None
    status = DecisionStatus.DISMISSED
    late = {"words": "Someone set it to 32.", "status": status, "cooldown_until": LATER}
    assert tuning_trials.call_off(fence=1, model=net, trial=first, **late) is None
    second.refresh_from_db()
    assert second.status == DecisionStatus.MEASURING
    assert TuningState.objects.get().trial == second
    assert Policy.objects.get(model=net).max_queue_delay_ms == 0.5


WRITES: list[Callable[[Model, int], Any]] = [
    lambda net, fence: tuning_trials.begin_trial(fence=fence, decision=row(net), proposal=proposal(), now=NOW),
    lambda net, fence: tuning_trials.conclude(
        fence=fence, model=net, trial=row(net), step=verdict(Outcome.KEPT, NOW), cooldown_until=LATER
    ),
    lambda net, fence: tuning_trials.call_off(
        fence=fence, model=net, trial=row(net), words="", status=DecisionStatus.UNDONE, cooldown_until=LATER
    ),
    lambda net, fence: tuning_trials.advise(fence=fence, card=row(net, proposal(Knob.QUEUE_DELAY, 0.0, 0.5))),
    lambda net, fence: tuning_trials.expire(fence=fence, model=net, knob="max_batch_rows", words=""),
    lambda net, fence: tuning_trials.note_looks(fence=fence, looks={tuning_trials.state_of(net): {"words": "x"}}),
]


@pytest.mark.parametrize("write", WRITES)
def test_f34_a_stale_controller_s_write_is_refused(net: Model, write: Callable[[Model, int], Any]) -> None:
    assert leases.acquire(name=LEASE, holder="b", ttl_s=15, now=NOW + timedelta(seconds=15)) == 2
    before = (rows_now(net), Decision.objects.count(), current_generation())
    with pytest.raises(Conflict) as refused:
        write(net, 1)
    assert refused.value.code == "stale_fence"
    assert (rows_now(net), Decision.objects.count(), current_generation()) == before
    write(net, 2)


@pytest.mark.parametrize("step", [Outcome.KEPT, Outcome.UNDONE])
def test_a_value_that_a_person_set_during_the_trial_wins(net: Model, step: Outcome) -> None:
    begin(net)
    policies.update_policy(actor=ANN, model=net, max_batch_rows=16)
    decision = conclude(net, step)
    assert decision is not None
    assert rows_now(net) == 16
    decision.refresh_from_db()
    assert decision.status == "dismissed"
    assert "Someone set it to 16 meanwhile; that stays." in decision.outcome


@pytest.mark.parametrize(
    "change",
    [{"max_batch_rows": 16}, {"tuning_modes": {"max_batch_rows": "advise"}}, {"tuning_modes": {}}],
)
def test_what_a_person_changed_before_the_trial_began_drops_it(net: Model, change: dict[str, Any]) -> None:
    policies.update_policy(actor=ANN, model=net, **change)
    assert begin(net) is None
    assert not Decision.objects.filter(actor="system:tuner").exists()


def test_one_knob_at_a_time(net: Model) -> None:
    policies.update_policy(
        actor=ANN, model=net, tuning_modes={Knob.BATCH_ROWS: "automatic", Knob.QUEUE_DELAY: "automatic"}
    )
    assert begin(net) is not None
    assert begin(net, knob=Knob.QUEUE_DELAY, before=0.0, after=0.5) is None


def test_nothing_begins_and_nothing_is_advised_while_frozen(net: Model) -> None:
    tuning.set_frozen(actor=ANN, frozen=True)
    assert begin(net) is None
    assert tuning_trials.advise(fence=1, card=row(net, proposal(Knob.QUEUE_DELAY, 0.0, 0.5))) is None


def test_a_step_that_the_policy_s_rules_refuse_changes_nothing(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, preferred_batch_rows=[24])
    with pytest.raises(Invalid):
        begin(net, after=16)
    assert rows_now(net) == 32
    assert TuningState.objects.filter(trial__isnull=False).count() == 0


def test_a_trial_that_cannot_go_back_ends_where_it_is(net: Model) -> None:
    begin(net)
    policies.update_policy(actor=ANN, model=net, preferred_batch_rows=[48])
    decision = conclude(net, Outcome.UNDONE)
    assert decision is not None
    assert rows_now(net) == 64
    assert (decision.status, TuningState.objects.get().trial) == ("dismissed", None)
    assert "32 is not allowed any more" in decision.outcome


def test_a_card_gives_way_to_another_of_its_knob_and_expires(net: Model) -> None:
    first = tuning_trials.advise(fence=1, card=row(net, proposal(Knob.QUEUE_DELAY, 0.0, 0.5)))
    second = tuning_trials.advise(fence=1, card=row(net, proposal(Knob.QUEUE_DELAY, 0.0, 1.0)))
    assert first is not None
    assert second is not None
    first.refresh_from_db()
    assert (first.status, second.status) == ("expired", "advised")
    assert rows_now(net) == 32
    assert tuning_trials.expire(fence=1, model=net, knob="max_queue_delay_ms", words="Load is gone.") == 1
    second.refresh_from_db()
    assert (second.status, second.outcome) == ("expired", "Load is gone.")
    assert tuning_trials.advise(fence=1, card=row(net)) is None  # automatic knobs are tried, not advised on
