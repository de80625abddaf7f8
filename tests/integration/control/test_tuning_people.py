"""What people do with tuning: modes, freezing, taking and dismissing proposals, undoing what was decided."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from trial_cast import proposal, row, verdict

from models_admin.models import AuditEvent, Decision, Model, ModelVersion, Policy, ScalingState, TuningState
from models_admin.publishing.snapshot import current_generation
from models_admin.selectors.tuning import is_frozen, mode_of
from models_admin.services import leases, policies, scaling, tuning, tuning_trials
from models_admin.services.errors import Conflict, Invalid, PreconditionFailed
from models_admin.services.tuning_writing import LEASE
from proxy.core.policies import Knob
from proxy.tuner.tried import Outcome, from_json
from tests.integration.control.conftest import ANN, BOB

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture
def net(ready: ModelVersion) -> Model:
    leases.acquire(name=LEASE, holder="a", ttl_s=15, now=NOW)
    leases.acquire(name=scaling.LEASE, holder="a", ttl_s=15, now=NOW)
    policies.update_policy(actor=ANN, model=ready.model, max_instances=4)
    return ready.model


def policy(net: Model) -> Policy:
    return Policy.objects.get(model=net)


@pytest.fixture
def trial(net: Model) -> Decision:
    """The largest batch is being measured at 64."""
    tuning.set_mode(actor=ANN, model=net, knob="max_batch_rows", mode="automatic")
    begun = tuning_trials.begin_trial(fence=1, decision=row(net), proposal=proposal(), now=NOW)
    assert begun is not None
    return begun


@pytest.fixture
def card(net: Model) -> Decision:
    """It is proposed to wait 0.5 ms for company."""
    shown = tuning_trials.advise(fence=1, card=row(net, proposal(Knob.QUEUE_DELAY, 0.0, 0.5)))
    assert shown is not None
    return shown


def instances_card(net: Model, to: int = 2) -> Decision:
    tuning.set_mode(actor=ANN, model=net, knob="instances", mode="advise")
    made = Decision(model=net, knob="instances", from_value="1", to_value=str(to), reason="demand", explanation="Why.")
    shown = tuning_trials.advise(fence=1, card=made, lease=scaling.LEASE)
    assert shown is not None
    return shown


# Modes.


def test_a_mode_is_part_of_the_policy_and_its_history(net: Model) -> None:
    tuning.set_mode(actor=ANN, model=net, knob="placement", mode="off")
    tuning.set_modes(actor=ANN, model=net, modes={"cache_max_mib": "automatic", "placement": "advise"})
    assert policy(net).tuning_modes == {"placement": "advise", "cache_max_mib": "automatic"}
    policies.revert(actor=ANN, model=net, revision=3)
    assert policy(net).tuning_modes == {"placement": "off"}


@pytest.mark.parametrize(("mode", "autoscale"), [("automatic", True), ("advise", False), ("off", False)])
def test_the_number_of_instances_is_automatic_where_the_policy_scales(net: Model, mode: str, autoscale: bool) -> None:
    tuning.set_mode(actor=ANN, model=net, knob="instances", mode="off")
    tuning.set_mode(actor=ANN, model=net, knob="instances", mode=mode)
    assert policy(net).autoscale is autoscale
    assert mode_of(policy(net), "instances") == mode


def test_switching_scaling_in_the_policy_s_form_is_a_mode_too(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, autoscale=False)
    assert mode_of(policy(net), "instances") == "advise"
    tuning.set_mode(actor=ANN, model=net, knob="instances", mode="off")
    policies.update_policy(actor=ANN, model=net, autoscale=True)
    assert mode_of(policy(net), "instances") == "automatic"


def test_a_mode_or_knob_that_there_is_not_is_refused(net: Model) -> None:
    for knob, mode in (("threads", "off"), ("placement", "on"), ("", "")):
        with pytest.raises(Invalid) as refused:
            tuning.set_mode(actor=ANN, model=net, knob=knob, mode=mode)
        assert refused.value.field == knob
    with pytest.raises(PreconditionFailed):
        tuning.set_mode(actor=ANN, model=net, knob="placement", mode="off", expected_revision=1)
    assert policy(net).tuning_modes == {}


def test_switching_a_knob_off_undoes_its_trial_and_closes_its_card(net: Model, trial: Decision, card: Decision) -> None:
    tuning.set_modes(actor=ANN, model=net, modes={"max_batch_rows": "off", "max_queue_delay_ms": "off"})
    trial.refresh_from_db()
    card.refresh_from_db()
    assert (policy(net).max_batch_rows, trial.status) == (32, "undone")
    assert trial.outcome == "user:ann switched tuning of it off."
    assert (card.status, card.outcome) == ("expired", "user:ann set its mode to off.")
    assert TuningState.objects.get().trial is None


# Freezing.


def test_freezing_undoes_what_is_being_measured_and_says_who(net: Model, trial: Decision) -> None:
    generation = current_generation()
    switch = tuning.set_frozen(actor=ANN, frozen=True)
    assert (switch.frozen, switch.changed_by, is_frozen()) == (True, "user:ann", True)
    trial.refresh_from_db()
    assert (policy(net).max_batch_rows, trial.status) == (32, "undone")
    assert trial.outcome == "user:ann froze all tuning while it was measured."
    assert current_generation() == generation + 1
    assert AuditEvent.objects.get(action="tuning.freeze").details == {"undone": 1}
    tuning.set_frozen(actor=BOB, frozen=True)
    assert AuditEvent.objects.filter(action="tuning.freeze").count() == 1
    tuning.set_frozen(actor=BOB, frozen=False)
    assert not is_frozen()
    assert AuditEvent.objects.get(action="tuning.unfreeze").actor == "user:bob"


# Proposals.


def test_a_person_who_takes_a_proposal_begins_its_trial(net: Model, card: Decision) -> None:
    taken = tuning.apply_advice(actor=BOB, decision=card)
    assert policy(net).max_queue_delay_ms == 0.5
    assert (taken.status, taken.actor, taken.pk) == ("measuring", "user:bob", card.pk)
    assert taken.applied_at is not None
    assert TuningState.objects.get().trial == taken
    one = proposal(Knob.QUEUE_DELAY, 0.0, 0.5)
    step = verdict(Outcome.KEPT, NOW, one)
    kept = tuning_trials.conclude(fence=1, model=net, trial=taken, step=step, cooldown_until=NOW)
    assert kept is not None
    assert (kept.status, kept.actor) == ("kept", "user:bob")


def refused(actor_does: Any, **what: Any) -> str:
    with pytest.raises(Conflict) as caught:
        actor_does(actor=BOB, **what)
    return str(caught.value.code)


def test_a_proposal_is_not_taken_when_it_no_longer_stands(net: Model, card: Decision) -> None:
    tuning.set_frozen(actor=ANN, frozen=True)
    assert refused(tuning.apply_advice, decision=card) == "frozen"
    tuning.set_frozen(actor=ANN, frozen=False)
    policies.update_policy(actor=ANN, model=net, max_queue_delay_ms=2)
    assert refused(tuning.apply_advice, decision=card) == "changed_meanwhile"
    assert policy(net).max_queue_delay_ms == 2
    tuning.dismiss(actor=ANN, decision=card)
    assert refused(tuning.apply_advice, decision=card) == "not_proposed"
    assert refused(tuning.dismiss, decision=card) == "not_proposed"


def test_a_proposal_waits_while_another_knob_is_measured(net: Model, card: Decision, trial: Decision) -> None:
    assert refused(tuning.apply_advice, decision=card) == "being_measured"
    assert policy(net).max_queue_delay_ms == 0


def test_what_a_person_dismissed_is_not_proposed_again_soon(net: Model, card: Decision) -> None:
    dismissed = tuning.dismiss(actor=BOB, decision=card)
    assert (dismissed.status, dismissed.outcome) == ("dismissed", "user:bob dismissed it.")
    (remembered,) = from_json(TuningState.objects.get().tried)
    assert (remembered.knob, remembered.from_value, remembered.to_value) == (Knob.QUEUE_DELAY, 0.0, 0.5)
    assert (remembered.outcome, remembered.load, remembered.objective) == (Outcome.UNDONE, 6, "lowest_latency")
    assert policy(net).max_queue_delay_ms == 0


def test_a_proposed_number_of_instances_is_taken_for_good(net: Model) -> None:
    card = instances_card(net)
    generation = current_generation()
    taken = tuning.apply_advice(actor=BOB, decision=card)
    assert ScalingState.objects.get().wanted_instances == 2
    assert (taken.status, taken.actor) == ("applied", "user:bob")
    assert current_generation() == generation + 1
    assert refused(tuning.apply_advice, decision=taken) == "not_proposed"


def test_a_proposed_number_that_is_no_longer_right_is_refused(net: Model) -> None:
    card = instances_card(net, to=4)
    policies.update_policy(actor=ANN, model=net, max_instances=3)
    assert refused(tuning.apply_advice, decision=card) == "not_allowed"
    scaling.set_instances(actor=ANN, model=net, count=2)
    assert refused(tuning.apply_advice, decision=card) == "changed_meanwhile"
    assert ScalingState.objects.get().wanted_instances == 2
    tuning.dismiss(actor=BOB, decision=card)
    assert not TuningState.objects.filter(tried__0__isnull=False).exists()


# Undoing.


@pytest.mark.parametrize(
    ("field", "value", "before"),
    [
        ("max_batch_rows", 16, 32),
        ("cache_enabled", False, True),
        ("max_queue_delay_ms", 1.5, 0.0),
        ("oversize", "refuse", "split"),
    ],
)
def test_a_person_s_change_is_undone_by_its_row(net: Model, field: str, value: Any, before: Any) -> None:
    policies.update_policy(actor=ANN, model=net, **{field: value})
    made = Decision.objects.get(knob=field)
    undone = tuning.undo_decision(actor=BOB, decision=made)
    assert (undone.undoes, undone.actor, undone.reason) == (made, "user:bob", "operator")
    assert (undone.from_value, undone.to_value) == (made.to_value, made.from_value)
    assert (getattr(policy(net), field), policy(net).revision) == (before, 4)


def test_lists_and_modes_are_undone_to_what_they_were(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, preferred_batch_rows=[8, 16])
    policies.update_policy(actor=ANN, model=net, preferred_batch_rows=list(range(1, 17)))
    tuning.undo_decision(actor=BOB, decision=Decision.objects.filter(knob="preferred_batch_rows").latest("pk"))
    assert policy(net).preferred_batch_rows == [8, 16]
    tuning.set_mode(actor=ANN, model=net, knob="placement", mode="off")
    tuning.undo_decision(actor=BOB, decision=Decision.objects.get(knob="tuning_modes"))
    assert policy(net).tuning_modes == {}


def test_a_list_whose_value_is_not_kept_is_not_guessed(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, preferred_batch_rows=[8, 16])
    made = Decision.objects.get(knob="preferred_batch_rows")
    net.policy_revisions.all().delete()
    assert refused(tuning.undo_decision, decision=made) == "not_kept"


def test_an_undo_is_undone_like_any_other(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, max_batch_rows=16)
    first = tuning.undo_decision(actor=BOB, decision=Decision.objects.get(knob="max_batch_rows"))
    second = tuning.undo_decision(actor=ANN, decision=first)
    assert (policy(net).max_batch_rows, second.undoes) == (16, first)


def test_undoing_what_was_kept_is_remembered_so_that_it_is_not_begun_again(net: Model, trial: Decision) -> None:
    step = verdict(Outcome.KEPT, NOW)
    tuning_trials.conclude(fence=1, model=net, trial=trial, step=step, cooldown_until=NOW)
    undone = tuning.undo_decision(actor=BOB, decision=trial)
    trial.refresh_from_db()
    assert (policy(net).max_batch_rows, trial.status, undone.undoes) == (32, "kept", trial)
    assert [one.outcome for one in from_json(TuningState.objects.get().tried)] == [Outcome.KEPT, Outcome.UNDONE]
    assert refused(tuning.undo_decision, decision=trial) == "changed_meanwhile"


def test_undoing_what_is_being_measured_ends_the_trial(net: Model, trial: Decision) -> None:
    undone = tuning.undo_decision(actor=BOB, decision=trial)
    trial.refresh_from_db()
    assert (policy(net).max_batch_rows, trial.status) == (32, "undone")
    assert trial.outcome == "user:bob undid it while it was measured."
    assert (undone.undoes, TuningState.objects.get().trial) == (trial, None)
    assert refused(tuning.undo_decision, decision=trial) == "not_in_force"
    step = verdict(Outcome.KEPT, NOW)
    assert tuning_trials.conclude(fence=1, model=net, trial=trial, step=step, cooldown_until=NOW) is None


def test_what_was_changed_since_is_not_undone(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, max_batch_rows=16)
    made = Decision.objects.get(knob="max_batch_rows")
    policies.update_policy(actor=ANN, model=net, max_batch_rows=8)
    with pytest.raises(Conflict, match="Largest batch is 8 rows now, not 16 rows"):
        tuning.undo_decision(actor=BOB, decision=made)
    assert policy(net).max_batch_rows == 8


def test_proposals_and_rollouts_are_not_undone_here(net: Model, card: Decision) -> None:
    assert refused(tuning.undo_decision, decision=card) == "not_applied"
    step = Decision.objects.create(
        model=net, knob="rollout", from_value="canary 5 %", to_value="canary 25 %", reason="x"
    )
    assert refused(tuning.undo_decision, decision=step) == "not_undoable"


def test_a_number_of_instances_is_undone_within_the_policy(net: Model) -> None:
    made = scaling.set_instances(actor=ANN, model=net, count=3)
    assert made is not None
    undone = tuning.undo_decision(actor=BOB, decision=made)
    assert (ScalingState.objects.get().wanted_instances, undone.undoes) == (1, made)
    assert refused(tuning.undo_decision, decision=made) == "changed_meanwhile"
    scaling.set_instances(actor=ANN, model=net, count=3)
    policies.update_policy(actor=ANN, model=net, min_instances=2)
    assert refused(tuning.undo_decision, decision=made) == "not_allowed"


def test_undoing_is_audited_as_the_change_that_it_is(net: Model) -> None:
    policies.update_policy(actor=ANN, model=net, max_batch_rows=16)
    AuditEvent.objects.all().delete()
    tuning.undo_decision(actor=BOB, decision=Decision.objects.get(knob="max_batch_rows"))
    event = AuditEvent.objects.get()
    assert (event.action, event.actor) == ("policy.update", "user:bob")
    assert event.details["changes"] == {"max_batch_rows": [16, 32]}
