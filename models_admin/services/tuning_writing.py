"""What every change by tuning shares: locks, the value of a knob, how a trial and a card end.

Rules: used inside one transaction; the model's row is locked before its policy, and that before its tuning state. A
knob is moved as a person's change of the policy is: a revision that can be gone back to, an audit event, a publication.
A person's value wins: what is not as the trial left it is never put back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Decision, Model, Policy, PolicyRevision, TuningState
from models_admin.models.control import DecisionStatus
from models_admin.services import policies, writing
from models_admin.services.actors import Actor, system_actor
from models_admin.services.errors import Conflict, Invalid
from proxy.core.words import joined, say

LEASE = "tuning"
ACTOR = system_actor("tuner")


def locked(model: Model) -> tuple[Policy, TuningState]:
    """The model's policy and tuning state as they stand now, locked until the transaction ends."""
    policy = policies.locked(model)
    TuningState.objects.get_or_create(model=model)
    return policy, TuningState.objects.select_for_update().get(model=model)


def locked_decision(decision: Decision) -> tuple[Decision, Policy, TuningState]:
    """The decision with its model's policy and tuning state, all locked."""
    policy, state = locked(decision.model)
    return writing.lock(decision), policy, state


def set_knob(actor: Actor, policy: Policy, knob: str, value: Any) -> None:
    """Move one field of a locked policy. Invalid if the policy's rules do not allow it."""
    changes = policies.changes_of(policy, {knob: value})
    if changes:
        policies.record(actor, policy, changes)


def values_of(decision: Decision) -> tuple[Any, Any]:
    """What the decision's field was before and after it, as values; Conflict where that is not known any more."""
    field = Policy._meta.get_field(decision.knob)
    if not isinstance(field, models.JSONField):
        return field.to_python(decision.from_value), field.to_python(decision.to_value)
    kept = PolicyRevision.objects.filter(
        model_id=decision.model_id, revision=decision.evidence.get(policies.REVISION, 0)
    ).first()
    if kept is None or decision.knob not in kept.changes:
        raise Conflict(_("What it was before is not kept any more; change the policy instead."), code="not_kept")
    before, after = kept.changes[decision.knob]
    return before, after


def settle(
    decision: Decision,
    state: TuningState,
    *,
    actor: Actor,
    status: DecisionStatus,
    outcome: str,
    measured: dict[str, Any] | None = None,
    cooldown_until: datetime | None = None,
    tried: list[dict[str, Any]] | None = None,
) -> None:
    """End the trial that `state` names; its knob is the caller's business."""
    decision.status = status
    decision.put(outcome=outcome)
    decision.settled_at = timezone.now()
    if measured is not None:
        decision.measured = measured
    decision.save(update_fields=["status", "outcome", "said", "settled_at", "measured"])
    state.trial = None
    if cooldown_until is not None:
        state.cooldown_until = cooldown_until
    if tried is not None:
        state.tried = tried
    state.save(update_fields=["trial", "cooldown_until", "tried", "fence"])
    writing.audit(
        actor,
        f"tuning.{status}",
        "model",
        decision.model.name,
        decision=decision.pk,
        knob=decision.knob,
        outcome=outcome[:500],
    )


def end_trial(
    decision: Decision, policy: Policy, state: TuningState, *, actor: Actor, words: str, **settled: Any
) -> None:
    """Put the running trial's knob back and end it. A value that a person set meanwhile stays: then it is dismissed."""
    status = settled.pop("status", DecisionStatus.UNDONE)
    stays = _put_back(actor, decision, policy)
    if stays and status != DecisionStatus.DISMISSED:
        status, words = DecisionStatus.DISMISSED, joined(" ", (words, stays))
    settle(decision, state, actor=actor, status=status, outcome=words, **settled)


def _put_back(actor: Actor, decision: Decision, policy: Policy) -> str:
    """Empty, or in words why the knob stays as it is."""
    before, after = values_of(decision)
    now = getattr(policy, decision.knob)
    if now != after:
        return say("Someone set it to %(value)s meanwhile; that stays.", value=policies.in_column(now))
    try:
        set_knob(actor, policy, decision.knob, before)
    except Invalid as refused:
        return say("It stays, since %(value)s is not allowed any more: %(why)s", value=decision.from_value, why=refused)
    return ""


def close_cards(model: Model, words: str, *, knob: str | None = None) -> int:
    """Let proposals that wait for a person expire, of one knob or of all; how many."""
    cards = Decision.objects.filter(model=model, status=DecisionStatus.ADVISED)
    if knob is not None:
        cards = cards.filter(knob=knob)
    closed = list(cards)
    for card in closed:
        card.status, card.settled_at = DecisionStatus.EXPIRED, timezone.now()
        card.put(outcome=words).save(update_fields=["status", "outcome", "said", "settled_at"])
    return len(closed)
