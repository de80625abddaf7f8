"""Changes of the wanted number of instances, by an operator or by the control loop, each with its Decision row."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Decision, Model, Policy, ScalingState
from models_admin.services import leases, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Invalid
from proxy.core.words import say
from proxy.tuner.instance_count import CountReason

KNOB = "instances"
LEASE = "scaling"
OPERATOR = "operator"
"""The reason of what a person changed; the others are those of proxy.tuner."""


@transaction.atomic
def set_instances(*, actor: Actor, model: Model, count: int) -> Decision | None:
    """The operator's wanted number, within the policy's bounds. None if it is wanted already.

    With `autoscale` on, the control loop goes on from this number.
    """
    if isinstance(count, bool) or not isinstance(count, int):
        raise Invalid(_("count: use a whole number."), field="count")
    writing.hold(model)
    policy = Policy.objects.select_for_update().get(model=model)
    if _within(policy, count) != count:
        raise Invalid(
            (
                _("count: the policy of %(name)s allows 0 or %(low)s to %(high)s instances.")
                if policy.scale_to_zero_after_s
                else _("count: the policy of %(name)s allows %(low)s to %(high)s instances.")
            )
            % {"name": model.name, "low": policy.min_instances, "high": policy.max_instances},
            field="count",
        )
    state = _locked_state(policy)
    if state.wanted_instances == count:
        return None
    words = say("%(actor)s asked for %(count)s.", actor=actor.label, count=count)
    decision = _change(state, count, reason=OPERATOR, explanation=words, actor=actor.label, fence=state.fence)
    writing.audit(actor, "model.set_instances", "model", model.name, count=count)
    writing.publish()
    return decision


@transaction.atomic
def undo(*, actor: Actor, decision: Decision) -> Decision:
    """Want the number from before `decision` again; the new Decision `undoes` it. Conflict if it is another one by now.

    With `autoscale` on, the control loop goes on from this number.
    """
    writing.hold(decision.model)
    policy = Policy.objects.select_for_update().get(model=decision.model)
    state = move(policy, int(decision.to_value), int(decision.from_value))
    undone = Decision(
        model_id=decision.model_id,
        knob=KNOB,
        from_value=decision.to_value,
        to_value=decision.from_value,
        reason=OPERATOR,
        actor=actor.label[:200],
        fence=state.fence,
        undoes=decision,
    ).put(explanation=say("%(actor)s undid it.", actor=actor.label))
    undone.save()
    writing.audit(actor, "model.set_instances", "model", decision.model.name, count=state.wanted_instances)
    writing.publish()
    return undone


def move(policy: Policy, started_from: int, target: int) -> ScalingState:
    """Want `target` where `started_from` is wanted. Conflict otherwise, or if the (locked) policy does not allow it.

    The Decision, the audit event and the publication are the caller's.
    """
    state = _locked_state(policy)
    if state.wanted_instances != started_from:
        raise Conflict(
            _("%(now)s instances are wanted now, not %(then)s: that was changed since. Nothing was done.")
            % {"now": state.wanted_instances, "then": started_from},
            code="changed_meanwhile",
        )
    if _within(policy, target) != target:
        raise Conflict(
            _("The policy allows %(low)s to %(high)s instances by now, so not %(wanted)s.")
            % {"low": policy.min_instances, "high": policy.max_instances, "wanted": target},
            code="not_allowed",
        )
    _want(state, target, state.fence)
    return state


def keep_within(*, actor: Actor, policy: Policy) -> Decision | None:
    """Move the wanted number into the policy's new bounds. Part of the transaction that changes those."""
    state = _locked_state(policy)
    target = _within(policy, state.wanted_instances)
    if target == state.wanted_instances:
        return None
    bounds = {"low": policy.min_instances, "high": policy.max_instances}
    words = say("%(actor)s set the policy's bounds to %(low)s to %(high)s.", actor=actor.label, **bounds)
    return _change(state, target, reason=OPERATOR, explanation=words, actor=actor.label, fence=state.fence)


@transaction.atomic
def apply_decision(
    *,
    fence: int,
    model: Model,
    to_instances: int,
    reason: str,
    explanation: str,
    from_instances: int | None = None,
    expected: str = "",
    evidence: dict[str, Any] | None = None,
    low_since: datetime | None = None,
    now: datetime | None = None,
) -> Decision | None:
    """The control loop's decision. Conflict if `fence` is no longer the lease's: a stale holder must not write.

    `from_instances` is the number that the decision was taken on: if an operator changed it meanwhile, the decision is
    dropped (None), as it is when the number is wanted already (the same decision delivered twice) or automatic scaling
    was switched off.
    """
    leases.require(name=LEASE, fence=fence)
    writing.hold(model)
    state = _locked_state(Policy.objects.get(model=model))
    policy = Policy.objects.get(model=model)  # once more: it may have changed while the lock was waited for
    if not policy.autoscale or (from_instances is not None and state.wanted_instances != from_instances):
        return None
    target = _within(policy, to_instances)
    if target == state.wanted_instances:
        return None
    decision = _change(
        state,
        target,
        reason=reason,
        explanation=explanation,
        expected=expected,
        evidence=evidence or {},
        fence=fence,
        low_since=low_since,
        at=now,
    )
    writing.audit(
        Actor("system:autoscaler"), "model.scale", "model", model.name, to=target, reason=reason, decision=decision.pk
    )
    writing.publish()
    return decision


@transaction.atomic
def note_look(
    *,
    fence: int,
    model: Model,
    low_since: datetime | None,
    signals: dict[str, Any] | None = None,
    last_request_at: datetime | None = None,
) -> None:
    """Remember since when load has been low and what was seen; nothing is wanted anew, so nothing is published."""
    leases.require(name=LEASE, fence=fence)
    ScalingState.objects.filter(model=model).update(
        low_since=low_since, fence=fence, signals=signals or {}, last_request_at=last_request_at
    )


@transaction.atomic
def wake(*, name: str) -> Decision | None:
    """A request woke the model `name`: want its smallest number. None if it is wanted awake already, or gone."""
    model = Model.objects.filter(name=name, loaded=True).exclude(default_version=None).first()
    if model is None:
        return None
    writing.hold(model)
    policy = Policy.objects.get(model=model)
    state = _locked_state(policy)
    if state.wanted_instances:
        return None
    state.last_request_at = timezone.now()
    decision = _change(
        state,
        policy.min_instances,
        reason=CountReason.WOKEN.value,
        explanation=say("A request came while the model slept."),
        expected=say("It waits for one load; those that come meanwhile wait for the same."),
        fence=state.fence,
    )
    writing.audit(Actor("system:wake"), "model.wake", "model", name, to=policy.min_instances, decision=decision.pk)
    writing.publish()
    return decision


def _locked_state(policy: Policy) -> ScalingState:
    state, _ = ScalingState.objects.select_for_update().get_or_create(
        model_id=policy.model_id, defaults={"wanted_instances": policy.min_instances}
    )
    return state


def _within(policy: Policy, count: int) -> int:
    """The nearest number that the policy allows; 0, asleep, only where it lets the model sleep."""
    if count == 0 and policy.scale_to_zero_after_s:
        return 0
    return min(max(count, policy.min_instances), policy.max_instances)


def _change(
    state: ScalingState,
    target: int,
    *,
    fence: int,
    low_since: datetime | None = None,
    at: datetime | None = None,
    explanation: str,
    expected: str = "",
    **columns: Any,
) -> Decision:
    """Want `target`, and write the Decision that says why (`columns`: its others)."""
    decision = Decision(
        model_id=state.model_id,
        knob=KNOB,
        from_value=str(state.wanted_instances),
        to_value=str(target),
        fence=fence,
        **columns,
    ).put(explanation=explanation, expected=expected)
    decision.save()
    _want(state, target, fence, low_since, at)
    return decision


def _want(
    state: ScalingState, target: int, fence: int, low_since: datetime | None = None, at: datetime | None = None
) -> None:
    state.wanted_instances = target
    state.fence = fence
    state.low_since = low_since
    state.decided_at = at or timezone.now()
    state.save()
