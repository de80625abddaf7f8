"""What the tuning loop writes: a trial begun, kept or undone, a proposal to people, and what it saw at its last look.

Rules: each write proves with the lease's number that its holder is not a stale one (F34), and finds out under the lock
whether what it was decided on still holds; where it does not, nothing is written and None returned, so that a step
delivered twice has the effect of one (F35) and a person's change made meanwhile wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from models_admin.models import Decision, Model, Policy, TuningState
from models_admin.models.control import DecisionStatus
from models_admin.selectors.tuning import is_frozen, mode_of
from models_admin.services import leases, policies, tuning_writing, writing
from models_admin.services.actors import Actor
from models_admin.services.tuning_writing import (
    ACTOR,
    LEASE,
    close_cards,
    end_trial,
    locked,
    settle,
    values_of,
)
from proxy.core.policies import TuningMode
from proxy.core.words import say
from proxy.tuner import tried
from proxy.tuner.tuning_rows import from_row, to_row
from proxy.tuner.tuning_view import Keep, Proposal, Undo, Verdict

LOAD, VERSION, PROPOSAL = "load", "version", "proposal"
"""Keys of `predicted` beside the expectation: bucket of the load, version that was measured, the proposal as it was."""
STATUS_OF = {
    tried.Outcome.KEPT: DecisionStatus.KEPT,
    tried.Outcome.UNDONE: DecisionStatus.UNDONE,
    tried.Outcome.INCONCLUSIVE: DecisionStatus.INCONCLUSIVE,
}


@transaction.atomic
def begin_trial(*, fence: int, decision: Decision, proposal: Proposal, now: datetime) -> Decision | None:
    """Move the knob and start to measure. None where someone moved it meanwhile, a trial runs, or it may not be moved.

    `decision` is the unsaved row of the proposal (`row_of`).
    """
    leases.require(name=LEASE, fence=fence)
    policy, state = locked(decision.model)
    knob = proposal.knob.value
    if state.trial_id is not None or is_frozen() or mode_of(policy, knob) != TuningMode.AUTOMATIC:
        return None
    if getattr(policy, knob) != proposal.from_value:
        return None
    begin(decision, policy, state, ACTOR, proposal.to_value, now)
    return decision


def begin(decision: Decision, policy: Any, state: TuningState, actor: Actor, value: Any, now: datetime) -> None:
    """Set the knob, and let the decision be what is measured. Part of a transaction that has locked all of them."""
    tuning_writing.set_knob(actor, policy, decision.knob, value)
    decision.actor = actor.label[:200]
    decision.status = DecisionStatus.MEASURING
    decision.applied_at = now
    decision.evidence = {**decision.evidence, policies.REVISION: policy.revision}
    decision.save()
    state.trial = decision
    state.fence = max(state.fence, decision.fence)
    state.save(update_fields=["trial", "fence"])
    details = {"to": decision.to_value, "reason": decision.reason, "decision": decision.pk}
    writing.audit(actor, "tuning.try", "model", decision.model.name, knob=decision.knob, **details)


def _running(fence: int, model: Model, trial: Decision) -> tuple[Policy, TuningState, Decision] | None:
    """Policy, tuning state and decision, locked, while `trial` is the one that runs; None if it is not any more."""
    leases.require(name=LEASE, fence=fence)
    policy, state = locked(model)
    decision = state.trial
    if decision is None or decision.pk != trial.pk:
        return None
    state.fence = fence
    return policy, state, decision


@transaction.atomic
def conclude(
    *, fence: int, model: Model, trial: Decision, step: Keep | Undo, cooldown_until: datetime
) -> Decision | None:
    """End `trial` by its verdict: kept, or its knob put back. None if it does not run any more, though another may."""
    running = _running(fence, model, trial)
    if running is None:
        return None
    policy, state, decision = running
    verdict = step.verdict
    settled: dict[str, Any] = {
        "status": STATUS_OF[verdict.outcome],
        "measured": _measured(verdict),
        "cooldown_until": cooldown_until,
        "tried": remembered(state, verdict.tried),
    }
    if isinstance(step, Keep) and getattr(policy, decision.knob) == values_of(decision)[1]:
        settle(decision, state, actor=ACTOR, outcome=verdict.words, **settled)
    else:
        end_trial(decision, policy, state, actor=ACTOR, words=verdict.words, **settled)
    return decision


@transaction.atomic
def call_off(
    *, fence: int, model: Model, trial: Decision, words: str, status: DecisionStatus, cooldown_until: datetime
) -> Decision | None:
    """End `trial` without a verdict, its knob put back unless a person moved it. None if it does not run any more."""
    running = _running(fence, model, trial)
    if running is None:
        return None
    policy, state, decision = running
    end_trial(decision, policy, state, actor=ACTOR, words=words, status=status, cooldown_until=cooldown_until)
    return decision


@transaction.atomic
def advise(*, fence: int, card: Decision, lease: str = LEASE) -> Decision | None:
    """Show an unsaved row to people: one open card for each knob. None where there is the same one already.

    A card that proposes something else of the same knob expires.
    """
    leases.require(name=lease, fence=fence)
    policy, _ = locked(card.model)
    if is_frozen() or mode_of(policy, card.knob) != TuningMode.ADVISE:
        return None
    shown = Decision.objects.filter(model=card.model, knob=card.knob, status=DecisionStatus.ADVISED).first()
    if shown is not None and (shown.from_value, shown.to_value) == (card.from_value, card.to_value):
        return None
    close_cards(card.model, say("Something else is proposed now."), knob=card.knob)
    card.status = DecisionStatus.ADVISED
    card.save()
    return card


@transaction.atomic
def expire(*, fence: int, model: Model, knob: str, words: str, lease: str = LEASE) -> int:
    """Take the knob's open card away because it is no longer true; how many there were."""
    leases.require(name=lease, fence=fence)
    writing.hold(model)
    return close_cards(model, words, knob=knob)


def note_looks(*, fence: int, looks: Mapping[TuningState, dict[str, Any]]) -> None:
    """Remember what was seen of each model and why nothing or what was done. Nothing is wanted anew: no publication."""
    with transaction.atomic():
        leases.require(name=LEASE, fence=fence)
        for state, look in looks.items():
            state.look, state.fence = look, fence
        TuningState.objects.bulk_update(list(looks), ["look", "fence"])


@transaction.atomic
def state_of(model: Model) -> TuningState:
    """The model's tuning state, made if it was never looked at. NotFound if the model is gone."""
    writing.hold(model)
    return TuningState.objects.get_or_create(model=model)[0]


def remembered(state: TuningState, new: tried.Tried) -> list[dict[str, Any]]:
    """What the state's column keeps of what was tried, with the new one last."""
    return tried.to_json(tried.remember(tried.from_json(state.tried), new))


def row_of(model: Model, proposal: Proposal, *, load: int, fence: int) -> Decision:
    """The proposal as an unsaved row. `load` is the bucket (proxy.tuner.tried) of the load that it was made at."""
    kept = to_row(proposal)
    return Decision(
        model=model,
        knob=proposal.knob.value,
        from_value=policies.in_column(proposal.from_value),
        to_value=policies.in_column(proposal.to_value),
        reason=proposal.why.value,
        predicted={
            **proposal.expectation.as_mapping(),
            LOAD: load,
            VERSION: model.default_version.number,
            PROPOSAL: kept,
        },
        evidence=kept["evidence"],
        actor=ACTOR.label,
        fence=fence,
    ).put(explanation=proposal.words, expected=proposal.expectation.words)


def proposal_of(decision: Decision) -> Proposal | None:
    """The proposal that a row was made of; None for other rows."""
    return from_row(decision.predicted.get(PROPOSAL))


def _measured(verdict: Verdict) -> dict[str, Any]:
    """Both windows' figures, as far as they could be made."""
    windows = {"before": verdict.before, "after": verdict.after}
    return {name: window.figures() for name, window in windows.items() if window is not None}
