"""What every change of a rollout shares: locks, its Decision row and audit event, and how it ends.

Rules: used inside one transaction; the model's row is locked before the rollout's.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Decision, Model, ModelVersion, Rollout
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import ACTIVE_STATES, RolloutState
from models_admin.services import defaults, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict
from proxy.core.words import parts_of

KNOB = "rollout"
OPERATOR = "operator"
"""The reason of what a person changed; the others are those of proxy.tuner."""


def lock(rollout: Rollout, expected_revision: int | None = None) -> Rollout:
    """The rollout as it stands now, locked; the model's row first, as everywhere."""
    model = writing.lock(rollout.model)
    row = writing.lock(rollout, expected_revision)
    row.model = model
    return row


def lock_active(rollout: Rollout, expected_revision: int | None) -> Rollout:
    """As `lock`; Conflict if it has ended."""
    row = lock(rollout, expected_revision)
    if not row.is_active:
        raise Conflict(
            _("This rollout has ended: it was %(state)s.") % {"state": row.get_state_display().lower()}, code="ended"
        )
    return row


def weight(rollout: Rollout) -> str:
    """The present step in words."""
    return f"{rollout.mode} {rollout.weight_percent:g} %"


def step(
    row: Rollout,
    to_step: int,
    actor: Actor,
    reason: str,
    words: str,
    evidence: dict[str, Any],
    now: datetime,
    fence: int = 0,
) -> Rollout:
    """Go on to step `to_step`."""
    before = weight(row)
    row.step_index = to_step
    row.evidence = evidence
    row.step_started_at = now
    return changed(row, actor, "rollout.advance", before, reason, words, fence=fence)


def changed(
    row: Rollout,
    actor: Actor,
    action: str,
    before: str,
    reason: str,
    words: str,
    *,
    restart: bool = False,
    fence: int = 0,
) -> Rollout:
    """Save a change of a rollout that goes on, with its Decision and audit event."""
    row.put(words)
    row.fence = fence
    row.revision += 1
    if restart:
        row.step_started_at = timezone.now()
    row.save()
    decide(row, before, weight(row), reason, words, actor=actor.label, fence=fence)
    writing.audit(actor, action, "rollout", str(row), before=before, after=weight(row))
    writing.publish()
    return row


def promote(row: Rollout, actor: Actor, reason: str, words: str, evidence: dict[str, Any], fence: int) -> Rollout:
    """Make the candidate the default and end the rollout."""
    candidate = writing.lock(row.candidate)
    if candidate.state != VersionState.READY:
        raise Conflict(
            _("%(candidate)s is %(state)s; it cannot be promoted.")
            % {"candidate": candidate, "state": candidate.get_state_display().lower()},
            code="state",
        )
    before = weight(row)
    defaults.make_default(row.model, candidate)
    finish(row, RolloutState.PROMOTED, words, evidence, fence)
    decide(row, before, "promoted", reason, words, actor=actor.label, fence=fence)
    details = {"candidate": candidate.number, "reason": reason, "said": parts_of(words)}
    writing.audit(actor, "rollout.promote", "rollout", str(row), **details)
    writing.publish()
    return row


def end(
    row: Rollout, state: RolloutState, actor: Actor, reason: str, words: str, evidence: dict[str, Any], fence: int
) -> Rollout:
    """End it; the default is not changed here."""
    before = weight(row)
    finish(row, state, words, evidence, fence)
    decide(row, before, state.value, reason, words, actor=actor.label, fence=fence)
    details = {"candidate": row.candidate.number, "reason": reason, "said": parts_of(words)}
    writing.audit(actor, f"rollout.{state.value}", "rollout", str(row), **details)
    writing.publish()
    return row


def end_for(default: ModelVersion, model: Model, actor: Actor, words: str) -> None:
    """End the rollout that runs, if one does, since a person made `default` the default of the (locked) model.

    Well if it is the candidate, which would be compared with itself from now on, else without a verdict.
    """
    active = model.rollouts.filter(state__in=ACTIVE_STATES).first()
    if active is None:
        return
    row = writing.lock(active)
    row.model = model
    state = RolloutState.PROMOTED if row.candidate_id == default.pk else RolloutState.CANCELLED
    end(row, state, actor, OPERATOR, words, {}, 0)


def finish(row: Rollout, state: RolloutState, words: str, evidence: dict[str, Any], fence: int) -> None:
    """Set the last state of a rollout."""
    row.state = state
    row.put(words)
    row.evidence = evidence or row.evidence
    row.fence = fence
    row.revision += 1
    row.ended_at = timezone.now()
    row.save()


def decide(row: Rollout, before: str, after: str, reason: str, words: str, *, actor: str, fence: int = 0) -> None:
    """Write the Decision row."""
    decision = Decision(
        model_id=row.model_id,
        knob=KNOB,
        from_value=before,
        to_value=after,
        reason=reason,
        evidence=row.evidence,
        actor=actor[:200],
        fence=fence,
    )
    decision.put(explanation=words).save()
