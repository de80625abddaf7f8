"""Rows → what one look of tuning is taken on, and why a trial that runs can no longer be judged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from models_admin.models import Decision, MetricSample, Model
from models_admin.models.control import DecisionStatus
from models_admin.models.policy_words import label_words, value_words
from models_admin.selectors.tuning import (
    Measured,
    as_tuning_second,
    bounds_of,
    goal_of,
    mode_of,
    settings_of,
)
from models_admin.services.policies import REVISION
from models_admin.services.tuning_trials import VERSION, proposal_of
from proxy.core.policies import Knob, TuningMode
from proxy.core.words import Words, joined, say
from proxy.tuner import tried
from proxy.tuner.tuning_view import SETTLE_S, Running, TuningView
from proxy.tuner.windows import TuningSecond


def view_of(model: Model, measured: Measured, *, frozen: bool) -> TuningView:
    """The model as tuning looks at it. ValueError where a measurement's counts are none.

    Seconds from before the last change of any policy are left out: measured under other settings, they compare with
    nothing. A trial's own change is no such one, nor are the seconds before it.
    """
    state, policy = model.tuning, model.policy
    trial = state.trial
    seconds = [as_tuning_second(row) for row in _comparable(model, measured, trial)]
    proposal = proposal_of(trial) if trial is not None else None
    running = None
    if trial is not None and trial.applied_at is not None and proposal is not None:
        running = Running(proposal, trial.applied_at.timestamp())
    signals = model.scaling.signals
    rule = Words(str(signals.get("words", "")), signals.get("said"))
    return TuningView(
        settings=settings_of(model),
        bounds=bounds_of(policy, measured.host),
        goal=goal_of(policy),
        seconds=seconds,
        modes=_modes(model),
        running=running,
        cooldown_until_unix_s=None if state.cooldown_until is None else state.cooldown_until.timestamp(),
        tried=tried.from_json(state.tried),
        frozen=frozen,
        cache=measured.caches.get(model.name) if policy.cache_enabled else None,
        instance_rule=say("The rule for the number of instances decides: %(rule)s", rule=rule)
        if rule
        else say("The rule for the number of instances decides."),
        ready_instances=seconds[-1].instances if seconds else None,
        neighbours=_neighbours(model, measured) if running is not None else {},
        instance_service_ms=measured.service_ms.get(f"{model.name}/{model.default_version.number}", ()),
        advised=[Knob(card.knob) for card in measured.cards.get(model.pk, ())],
    )


def _modes(model: Model) -> dict[Knob, TuningMode]:
    """What may be done with each knob; with the cache's nothing where there is none."""
    modes = {knob: mode_of(model.policy, knob) for knob in Knob}
    if not model.policy.cache_enabled:
        modes[Knob.CACHE_SIZE] = modes[Knob.CACHE_POLICY] = TuningMode.OFF
    return modes


def _neighbours(model: Model, measured: Measured) -> dict[str, list[TuningSecond]]:
    """The seconds of the other models that are looked at. One whose counts are none cannot speak against a change."""
    found: dict[str, list[TuningSecond]] = {}
    for name, rows in measured.seconds.items():
        if name != model.name:
            with suppress(ValueError):
                found[name] = [as_tuning_second(row) for row in rows]
    return found


def _comparable(model: Model, measured: Measured, trial: Decision | None) -> Sequence[MetricSample]:
    """The model's seconds since the last change, of any model's policy (they share the machine) or of its version."""
    before = trial.applied_at if trial is not None else None
    moments = [change.at for changes in measured.changes.values() for change in changes]
    moments += [model.updated_at, *([model.scaling.decided_at] if model.scaling.decided_at else [])]
    since = max((at for at in moments if before is None or at < before), default=None)
    rows = measured.seconds.get(model.name, [])
    if since is None:
        return rows
    return [row for row in rows if row.at > since + timedelta(seconds=SETTLE_S)]


def interruption(model: Model, measured: Measured, *, frozen: bool) -> tuple[DecisionStatus, str] | None:
    """How the running trial ends, and in words why, if what it is measured under has changed; None if it has not."""
    trial, policy = model.tuning.trial, model.policy
    proposal = proposal_of(trial)
    if proposal is None or trial.applied_at is None:
        return DecisionStatus.INCONCLUSIVE, say("What it was expected to do cannot be read any more.")
    if getattr(policy, trial.knob) != proposal.to_value:
        value = value_words(trial.knob, getattr(policy, trial.knob))
        return DecisionStatus.DISMISSED, say(
            "%(actor)s set it to %(value)s while it was measured.", actor=_who_moved(model, measured), value=value
        )
    if frozen:
        return DecisionStatus.UNDONE, say("All tuning was frozen while it was measured.")
    if mode_of(policy, trial.knob) == TuningMode.OFF:
        return DecisionStatus.UNDONE, say("Tuning of it was switched off while it was measured.")
    if not model.loaded or model.default_version is None:
        return DecisionStatus.INCONCLUSIVE, say("The model was unloaded while it was measured.")
    if model.pk in measured.rolling_out or model.default_version.number != trial.predicted.get(VERSION):
        return DecisionStatus.INCONCLUSIVE, say("Another version came in while it was measured.")
    for change in measured.changes.get(model.pk, ()):
        if change.at > trial.applied_at and change.revision != trial.evidence.get(REVISION):
            fields = joined(", ", map(label_words, change.fields))
            return DecisionStatus.INCONCLUSIVE, say(
                "%(actor)s changed “%(fields)s” while it was measured.", actor=change.actor, fields=fields
            )
    return None


def _who_moved(model: Model, measured: Measured) -> str:
    """Who changed the trial's knob last; people in general where that is too long ago."""
    knob = model.tuning.trial.knob
    movers = [change.actor for change in measured.changes.get(model.pk, ()) if knob in change.fields]
    return movers[-1] if movers else say("Someone")
