"""Rollouts: a candidate version beside the default one, with steps, a verdict at each look, and a way back.

    start → running ⇄ holding → promoted | aborted | cancelled

Rules: one rollout a model at a time; each change is one transaction with one audit event and one Decision row that says
why in words; what the control loop writes carries its lease's fence, so that a stale holder writes nothing; the default
version never changes before `promote`, so an abort takes the candidate's traffic away and nothing else. A replaced
default stays loaded at full strength until `warm_until`: `roll_back` then needs no load.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Decision, Model, ModelVersion, Rollout
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import ACTIVE_STATES, RolloutModeChoice, RolloutState
from models_admin.services import defaults, rollout_rules, versions, writing
from models_admin.services import rollout_writing as changes
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict
from models_admin.services.rollout_writing import OPERATOR
from proxy.core.words import say

DEFAULT_STEPS = (
    {"weight_percent": 5, "hold_s": 60},
    {"weight_percent": 25, "hold_s": 60},
    {"weight_percent": 50, "hold_s": 60},
    {"weight_percent": 100, "hold_s": 60},
)


@transaction.atomic
def start(
    *,
    actor: Actor,
    model: Model,
    candidate: ModelVersion,
    mode: str = RolloutModeChoice.CANARY,
    steps: Any = None,
    expected_revision: int | None = None,
    now: datetime | None = None,
    **bounds: Any,
) -> Rollout:
    """Begin a rollout of `candidate`, a ready version that is not the default. `expected_revision` is the model's.

    `mode` canary|shadow; `steps` [{"weight_percent": 0..100, "hold_s": 1..604800}, ...] (default: 5, 25, 50, 100 % for
    a minute each; a shadow: 100 % for five); `bounds`: max_error_percent, max_p99_ratio, max_differing_percent,
    tolerance, instances. Raises Invalid, or Conflict (no default, not ready, another signature, one runs already).
    """
    row = writing.lock(model, expected_revision)
    version = versions.lock_version(candidate)
    rollout_rules.check_candidate(row, version)
    if row.rollouts.filter(state__in=ACTIVE_STATES).exists():
        raise Conflict(
            _("A rollout of %(name)s runs already; promote, abort or cancel it first.") % {"name": row.name},
            code="running",
        )
    moment = now or timezone.now()
    rollout = Rollout(
        model=row,
        candidate=version,
        mode=rollout_rules.check_mode(mode),
        steps=rollout_rules.check_steps(DEFAULT_STEPS if steps is None else steps, mode, given=steps is not None),
        step_started_at=moment,
        started_by=actor.label[:200],
        **rollout_rules.check_bounds(bounds),
    )
    writing.check_except_unique(rollout)
    words = say("Started by %(actor)s at %(weight)s %%.", actor=actor.label, weight=f"{rollout.weight_percent:g}")
    rollout.put(words)
    rollout.save(force_insert=True)
    changes.decide(rollout, "0", changes.weight(rollout), OPERATOR, words, actor=actor.label)
    writing.audit(actor, "rollout.start", "rollout", str(rollout), candidate=version.number, steps=rollout.steps)
    writing.publish()
    return rollout


def advance(*, actor: Actor, rollout: Rollout, expected_revision: int | None = None) -> Rollout:
    """Go on to the next step now, whatever the hold time. Conflict on the last step (promote instead)."""
    with transaction.atomic():
        row = changes.lock_active(rollout, expected_revision)
        if row.step_index + 1 >= len(row.steps):
            raise Conflict(_("This is the last step; promote the candidate instead."), code="last_step")
        words = say("%(actor)s went on.", actor=actor.label)
        return changes.step(row, row.step_index + 1, actor, OPERATOR, words, {}, timezone.now())


@transaction.atomic
def set_weight(
    *, actor: Actor, rollout: Rollout, weight_percent: float, expected_revision: int | None = None
) -> Rollout:
    """Set the present step's weight (0 to 100) and begin its hold time anew: the page's slider."""
    row = changes.lock_active(rollout, expected_revision)
    weight = rollout_rules.check_weight(weight_percent)
    before = changes.weight(row)
    row.steps = [
        {**step, "weight_percent": weight} if n == row.step_index else step for n, step in enumerate(row.steps)
    ]
    words = say("%(actor)s set %(weight)s %%.", actor=actor.label, weight=f"{weight:g}")
    return changes.changed(row, actor, "rollout.weight", before, OPERATOR, words, restart=True)


@transaction.atomic
def hold(*, actor: Actor, rollout: Rollout, expected_revision: int | None = None) -> Rollout:
    """Stay at the present step until `resume`; breaches still abort it."""
    row = changes.lock_active(rollout, expected_revision)
    if row.state == RolloutState.HOLDING:
        return row
    row.state = RolloutState.HOLDING
    words = say("%(actor)s holds it.", actor=actor.label)
    return changes.changed(row, actor, "rollout.hold", changes.weight(row), OPERATOR, words)


@transaction.atomic
def resume(*, actor: Actor, rollout: Rollout, expected_revision: int | None = None) -> Rollout:
    """Let a held rollout go on; its step's hold time begins anew."""
    row = changes.lock_active(rollout, expected_revision)
    if row.state == RolloutState.RUNNING:
        return row
    row.state = RolloutState.RUNNING
    words = say("%(actor)s let it go on.", actor=actor.label)
    return changes.changed(row, actor, "rollout.resume", changes.weight(row), OPERATOR, words, restart=True)


@transaction.atomic
def promote(*, actor: Actor, rollout: Rollout, expected_revision: int | None = None) -> Rollout:
    """Make the candidate the default now; the replaced default stays warm for the policy's rollback window."""
    row = changes.lock_active(rollout, expected_revision)
    return changes.promote(row, actor, OPERATOR, say("%(actor)s promoted it.", actor=actor.label), {}, 0)


@transaction.atomic
def abort(*, actor: Actor, rollout: Rollout, reason: str = "", expected_revision: int | None = None) -> Rollout:
    """End it because the candidate is bad: its traffic goes back to the default at once."""
    row = changes.lock_active(rollout, expected_revision)
    words = say("%(actor)s aborted it.", actor=actor.label)
    if reason:
        words = say("%(actor)s aborted it: %(reason)s", actor=actor.label, reason=reason[:500])
    return changes.end(row, RolloutState.ABORTED, actor, OPERATOR, words, {}, 0)


@transaction.atomic
def cancel(*, actor: Actor, rollout: Rollout, expected_revision: int | None = None) -> Rollout:
    """End it without a verdict on the candidate; its traffic goes back to the default."""
    row = changes.lock_active(rollout, expected_revision)
    words = say("%(actor)s cancelled it.", actor=actor.label)
    return changes.end(row, RolloutState.CANCELLED, actor, OPERATOR, words, {}, 0)


@transaction.atomic
def roll_back(*, actor: Actor, model: Model, expected_revision: int | None = None) -> ModelVersion:
    """Make the version that was replaced last the default again; it is still warm, so nothing has to be loaded.

    The version that is left does not stay warm. Raises Conflict where no replaced version is warm any more.
    """
    row = writing.lock(model, expected_revision)
    warm = rollback_target(row)
    if warm is None:
        raise Conflict(
            _("No replaced version of %(name)s is warm; promote the version that you want.") % {"name": row.name},
            code="nothing_warm",
        )
    left = row.default_version
    version = versions.lock_version(warm)
    defaults.make_default(row, version, keep_warm=False)
    words = say(
        "%(actor)s went back from version %(left)s to %(number)s.",
        actor=actor.label,
        left=left.number if left else say("none"),
        number=version.number,
    )
    changes.end_for(version, row, actor, words)
    Decision(
        model=row,
        knob="default_version",
        from_value=str(left.number) if left else "",
        to_value=str(version.number),
        reason="rollback",
        actor=actor.label[:200],
    ).put(explanation=words).save()
    writing.audit(actor, "version.roll_back", "version", str(version), before=left.number if left else None)
    writing.publish()
    return version


def rollback_target(model: Model) -> ModelVersion | None:
    """The version that `roll_back` would make the default: the warm one that was replaced last."""
    warm = model.versions.filter(warm_until__gt=timezone.now(), state=VersionState.READY)
    return warm.exclude(pk=model.default_version_id).order_by("-warm_until").first()


def active_rollout(model: Model) -> Rollout | None:
    """The rollout of `model` that runs or is held, if there is one."""
    return model.rollouts.filter(state__in=ACTIVE_STATES).select_related("candidate", "model").first()
