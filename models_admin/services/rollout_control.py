"""What the control loop writes of rollouts, each write with the fence of its lease.

Rules: a stale holder's writes are refused (Conflict); a verdict that was taken before an operator changed the rollout
is dropped, but for an abort: taking traffic away from a bad candidate is never too late.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from models_admin.models import ModelVersion, Rollout
from models_admin.models.rollouts import ACTIVE_STATES, RolloutState
from models_admin.services import leases, writing
from models_admin.services import rollout_writing as changes
from models_admin.services.actors import system_actor

LEASE = "rollout"
CONTROL = system_actor("rollout")


@transaction.atomic
def apply_step(
    *, fence: int, rollout: Rollout, to_step: int, reason: str, words: str, evidence: dict[str, Any], now: datetime
) -> Rollout | None:
    """The control loop goes on to `to_step`. None if an operator changed the rollout since it was judged."""
    row = _lock_judged(fence, rollout)
    if row is None:
        return None
    return changes.step(row, to_step, CONTROL, reason, words, evidence, now, fence)


@transaction.atomic
def apply_promotion(
    *, fence: int, rollout: Rollout, reason: str, words: str, evidence: dict[str, Any]
) -> Rollout | None:
    """The control loop makes the candidate the default."""
    row = _lock_judged(fence, rollout)
    return None if row is None else changes.promote(row, CONTROL, reason, words, evidence, fence)


@transaction.atomic
def apply_abort(*, fence: int, rollout: Rollout, reason: str, words: str, evidence: dict[str, Any]) -> Rollout | None:
    """The control loop takes the candidate's traffic away. Done even if an operator held it meanwhile."""
    leases.require(name=LEASE, fence=fence)
    row = changes.lock(rollout)
    return changes.end(row, RolloutState.ABORTED, CONTROL, reason, words, evidence, fence) if row.is_active else None


@transaction.atomic
def note(
    *, fence: int, rollout: Rollout, words: str, evidence: dict[str, Any], step_started_at: datetime | None = None
) -> None:
    """Remember the last look's numbers (no change of what is wanted: neither audited nor published)."""
    leases.require(name=LEASE, fence=fence)
    fields: dict[str, Any] = {**Rollout.told(words), "evidence": evidence, "fence": fence}
    if step_started_at is not None:
        fields["step_started_at"] = step_started_at
    Rollout.objects.filter(pk=rollout.pk, revision=rollout.revision, state__in=ACTIVE_STATES).update(**fields)


@transaction.atomic
def let_go_of_the_warm(now: datetime) -> int:
    """Stop keeping replaced versions whose time is over; how many."""
    over = ModelVersion.objects.filter(warm_until__lte=now)
    if not over.exists():  # most looks write nothing
        return 0
    gone = over.update(warm_until=None)
    writing.publish()
    return gone


def _lock_judged(fence: int, rollout: Rollout) -> Rollout | None:
    leases.require(name=LEASE, fence=fence)
    row = changes.lock(rollout)
    return row if row.is_active and row.revision == rollout.revision else None
