"""What people do with tuning: modes, freezing, taking or dismissing what is proposed, undoing what was decided."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Decision, Model, Policy, TuningState, TuningSwitch
from models_admin.models.control import DecisionStatus
from models_admin.models.policy_words import MODES, in_language, label_words, value_words
from models_admin.selectors.tuning import is_frozen
from models_admin.services import policies, scaling, tuning_trials, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Invalid
from models_admin.services.tuning_writing import (
    close_cards,
    end_trial,
    locked,
    locked_decision,
    set_knob,
    values_of,
)
from proxy.core.policies import Knob, TuningMode
from proxy.core.words import say
from proxy.tuner import tried

SWITCH = "all"
UNDOABLE = (DecisionStatus.APPLIED, DecisionStatus.KEPT, DecisionStatus.MEASURING)
"""In force, or tried just now."""


@transaction.atomic
def set_mode(*, actor: Actor, model: Model, knob: str, mode: str, expected_revision: int | None = None) -> Policy:
    """Let tuning do `mode` with `knob` from now on. The number of instances is automatic as `autoscale` of the policy.

    A trial of a knob that is switched off is undone; a proposal that its new mode does not make expires.
    """
    return set_modes(actor=actor, model=model, modes={knob: mode}, expected_revision=expected_revision)


@transaction.atomic
def set_modes(*, actor: Actor, model: Model, modes: dict[str, str], expected_revision: int | None = None) -> Policy:
    """As `set_mode`, for several knobs as one change of the policy."""
    for knob, mode in modes.items():
        if knob not in set(Knob) or mode not in set(TuningMode):
            raise Invalid(
                _("%(knob)s: give one of %(modes)s for any of %(knobs)s.")
                % {"knob": knob, "modes": ", ".join(TuningMode), "knobs": ", ".join(Knob)},
                field=knob,
            )
    policy, state = locked(model)
    fields: dict[str, Any] = {"tuning_modes": {**policy.tuning_modes, **modes}}
    if Knob.INSTANCES in modes:
        fields["autoscale"] = modes[Knob.INSTANCES] == TuningMode.AUTOMATIC
    policy = policies.update_policy(actor=actor, model=model, expected_revision=expected_revision, **fields)
    trial = state.trial
    if trial is not None and modes.get(trial.knob) == TuningMode.OFF:
        end_trial(
            trial, policy, state, actor=actor, words=say("%(actor)s switched tuning of it off.", actor=actor.label)
        )
    for knob, mode in modes.items():
        if mode != TuningMode.ADVISE:
            words = say("%(actor)s set its mode to %(mode)s.", actor=actor.label, mode=MODES[mode])
            close_cards(model, words, knob=knob)
    return policy


@transaction.atomic
def set_frozen(*, actor: Actor, frozen: bool) -> TuningSwitch:
    """Let all tuning, scaling by load included, stand still, or go on. Trials that are being measured are undone.

    What goes on while frozen: people's changes, the waking of sleeping models, rollouts.
    """
    TuningSwitch.objects.get_or_create(name=SWITCH)
    switch = TuningSwitch.objects.select_for_update().get(name=SWITCH)
    if switch.frozen == frozen:
        return switch
    switch.frozen, switch.changed_by = frozen, actor.label[:200]
    switch.save()
    undone = _undo_all_trials(actor) if frozen else 0
    writing.audit(actor, "tuning.freeze" if frozen else "tuning.unfreeze", "tuning", SWITCH, undone=undone)
    return switch


def _undo_all_trials(actor: Actor) -> int:
    running = Model.objects.filter(tuning__trial__isnull=False).order_by("pk")
    undone = 0
    for model in running:
        policy, state = locked(model)
        if state.trial is not None:
            words = say("%(actor)s froze all tuning while it was measured.", actor=actor.label)
            end_trial(state.trial, policy, state, actor=actor, words=words)
            undone += 1
    return undone


@transaction.atomic
def apply_advice(*, actor: Actor, decision: Decision) -> Decision:
    """Take a proposal: its knob is moved now and measured as in automatic mode, in the person's name.

    The number of instances is set for good: the rule that proposed it looks at load, not at a trial.
    """
    card, policy, state = locked_decision(decision)
    _require_open(card)
    if is_frozen():
        raise Conflict(_("All tuning is frozen. Let it go on first, or change the policy by hand."), code="frozen")
    if card.knob == Knob.INSTANCES:
        return _apply_instances(actor, card, policy)
    if state.trial is not None:
        raise Conflict(
            _("%(knob)s of %(model)s is being measured; wait for its verdict or undo it.")
            % {"knob": in_language(label_words(state.trial.knob)), "model": card.model.name},
            code="being_measured",
        )
    before, after = values_of(card)
    now = getattr(policy, card.knob)
    if now != before:
        raise Conflict(
            _("%(knob)s is %(now)s now, no longer %(then)s, which this starts from.") % _told(card.knob, now, before),
            code="changed_meanwhile",
        )
    tuning_trials.begin(card, policy, state, actor, after, timezone.now())
    return card


def _apply_instances(actor: Actor, card: Decision, policy: Policy) -> Decision:
    scaling.move(policy, int(card.from_value), int(card.to_value))
    card.status, card.actor, card.applied_at = DecisionStatus.APPLIED, actor.label[:200], timezone.now()
    card.save(update_fields=["status", "actor", "applied_at"])
    writing.audit(actor, "model.set_instances", "model", card.model.name, count=int(card.to_value), decision=card.pk)
    writing.publish()
    return card


@transaction.atomic
def dismiss(*, actor: Actor, decision: Decision) -> Decision:
    """Say no to a proposal. The same is not proposed again at such a load for an hour, longer each time."""
    card, policy, state = locked_decision(decision)
    _require_open(card)
    card.status = DecisionStatus.DISMISSED
    card.put(outcome=say("%(actor)s dismissed it.", actor=actor.label))
    card.settled_at = timezone.now()
    card.save(update_fields=["status", "outcome", "said", "settled_at"])
    if card.knob != Knob.INSTANCES:
        _remember_as_undone(state, card, policy)
    writing.audit(actor, "tuning.dismiss", "model", card.model.name, knob=card.knob, decision=card.pk)
    return card


@transaction.atomic
def undo_decision(*, actor: Actor, decision: Decision) -> Decision:
    """Set the decision's knob back to what it was before it; returns the new Decision, which `undoes` it.

    Conflict if the knob has another value by now, if the decision is not in force, or is one that is undone elsewhere
    (a rollout's step, a default version). A trial that is being measured ends with it.
    """
    row, policy, state = locked_decision(decision)
    if row.status == DecisionStatus.ADVISED:
        raise Conflict(_("It is only proposed, nothing was changed: dismiss it instead."), code="not_applied")
    if row.status not in UNDOABLE:
        raise Conflict(
            _("It is not in force any more: %(state)s.") % {"state": row.get_status_display().lower()},
            code="not_in_force",
        )
    if row.knob == Knob.INSTANCES:
        return scaling.undo(actor=actor, decision=row)
    if row.knob not in policies.EDITABLE_FIELDS:
        raise Conflict(
            _("A change of %(knob)s is not undone here: abort the rollout or roll back on the model's page.")
            % {"knob": in_language(label_words(row.knob))},
            code="not_undoable",
        )
    return _undo_knob(actor, row, policy, state)


def _undo_knob(actor: Actor, row: Decision, policy: Policy, state: TuningState) -> Decision:
    before, after = values_of(row)
    now = getattr(policy, row.knob)
    if now != after:
        raise Conflict(
            _("%(knob)s is %(now)s now, not %(then)s: it was changed since. Nothing was undone.")
            % _told(row.knob, now, after),
            code="changed_meanwhile",
        )
    if state.trial_id == row.pk:
        words = say("%(actor)s undid it while it was measured.", actor=actor.label)
        end_trial(row, policy, state, actor=actor, words=words)
    else:
        set_knob(actor, policy, row.knob, before)
    if row.predicted:
        _remember_as_undone(state, row, policy)
    undone = Decision(
        model_id=row.model_id,
        knob=row.knob,
        from_value=row.to_value,
        to_value=row.from_value,
        reason=scaling.OPERATOR,
        actor=actor.label[:200],
        evidence={policies.REVISION: policy.revision},
        undoes=row,
    ).put(explanation=say("%(actor)s undid it.", actor=actor.label))
    undone.save()
    return undone


def _told(knob: str, now: Any, then: Any) -> dict[str, str]:
    """A knob, its value now and the one that was looked for, in the reader's language."""
    return {
        "knob": in_language(label_words(knob)),
        "now": in_language(value_words(knob, now)),
        "then": in_language(value_words(knob, then)),
    }


def _require_open(card: Decision) -> None:
    if card.status != DecisionStatus.ADVISED:
        raise Conflict(
            _("It is not proposed any more: %(state)s.") % {"state": card.get_status_display().lower()},
            code="not_proposed",
        )


def _remember_as_undone(state: TuningState, row: Decision, policy: Policy) -> None:
    """A person's no counts as a trial that did not help, so that the same is not begun again at once."""
    before, after = values_of(row)
    load, at_unix_s = int(row.predicted.get("load", 0)), timezone.now().timestamp()
    new = tried.Tried(Knob(row.knob), before, after, tried.Outcome.UNDONE, load, at_unix_s, policy.objective)
    state.tried = tuning_trials.remembered(state, new)
    state.save(update_fields=["tried"])
