"""What tuning of a model is at: its knobs, its running trial, its rest, its objective in words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from models_admin.dashboard.evidence import settle_of
from models_admin.dashboard.knobs import bounds_in_words, knob_label, value_in_words
from models_admin.dashboard.tuning_metrics import number
from models_admin.models import Decision, Model, Policy, TuningState
from models_admin.selectors import tuning
from proxy.core.policies import Knob, Objective
from proxy.core.words import readable
from proxy.tuner.knobs import Bounds
from proxy.tuner.tuning_view import MOST_WINDOW_S, WINDOW_S


@dataclass(frozen=True, slots=True)
class KnobRow:
    """One knob as its table shows it. `words`: why nothing was done with it at the last look."""

    knob: str
    label: str
    value: str
    bounds: str
    mode: str
    words: str
    is_measured: bool


@dataclass(frozen=True, slots=True)
class TrialView:
    """The running trial. `phase`: settling, measuring or waiting (for its verdict)."""

    decision: Decision
    label: str
    before: str
    after: str
    phase: str
    words: str
    elapsed_s: float
    whole_s: float

    @property
    def explanation(self) -> str:
        """Why it was tried."""
        return decision_words(self.decision, "explanation")


def decision_words(decision: Decision, name: str) -> str:
    """Its `explanation`, `expected` or `outcome` in the reader's language; as it was written where that is all."""
    said = decision.said
    parts = said.get(name) if isinstance(said, dict) else None
    return readable(parts, _, getattr(decision, name))


def state_of(model: Model) -> TuningState:
    """The model's tuning state; an empty one where tuning has not looked at it yet."""
    return getattr(model, "tuning", None) or TuningState(model=model)


def knob_rows(model: Model, bounds: Bounds) -> list[KnobRow]:
    """Every knob with its value in force, bounds, mode and the last words on it."""
    state, settings = state_of(model), tuning.settings_of(model)
    said = state.look.get("by_knob")
    words = said if isinstance(said, dict) else {}
    measured = state.trial.knob if state.trial else None
    return [
        KnobRow(
            knob=knob.value,
            label=knob_label(knob),
            value=value_in_words(knob, settings.of(knob)),
            bounds=bounds_in_words(knob, bounds),
            mode=tuning.mode_of(model.policy, knob).value,
            words=_said(state, knob.value, str(words.get(knob.value, ""))),
            is_measured=measured == knob.value,
        )
        for knob in Knob
    ]


def trial_view(state: TuningState, now: datetime) -> TrialView | None:
    """The trial that is being measured, with how far it has come; None where none is."""
    decision = state.trial
    if decision is None or decision.applied_at is None:
        return None
    settle_s = settle_of(decision.predicted)
    whole_s = _whole_s(state, decision.applied_at, settle_s)
    elapsed_s = max((now - decision.applied_at).total_seconds(), 0.0)
    phase, words = _phase(elapsed_s, settle_s, whole_s)
    return TrialView(
        decision=decision,
        label=knob_label(decision.knob),
        before=value_in_words(decision.knob, decision.from_value),
        after=value_in_words(decision.knob, decision.to_value),
        phase=phase,
        words=words,
        elapsed_s=min(elapsed_s, whole_s),
        whole_s=whole_s,
    )


def _whole_s(state: TuningState, applied_at: datetime, settle_s: float) -> float:
    """Settling and measuring together: longer than planned where the last look said that it is measured for longer."""
    planned_s = settle_s + WINDOW_S
    until_unix_s = number(state.look.get("until_unix_s"))
    if until_unix_s is None:
        return planned_s
    return min(max(until_unix_s - applied_at.timestamp(), planned_s), settle_s + MOST_WINDOW_S)


def _phase(elapsed_s: float, settle_s: float, whole_s: float) -> tuple[str, str]:
    if elapsed_s < settle_s:
        return "settling", _seconds_left(settle_s - elapsed_s, before_measuring=True)
    if elapsed_s < whole_s:
        return "measuring", _seconds_left(whole_s - elapsed_s, before_measuring=False)
    return "waiting", _("Measured; the verdict comes with the next look.")


def _seconds_left(left_s: float, *, before_measuring: bool) -> str:
    count = max(round(left_s), 1)
    if before_measuring:
        return ngettext("%(count)s second until it is measured.", "%(count)s seconds until it is measured.", count) % {
            "count": count
        }
    return ngettext("%(count)s second left to measure.", "%(count)s seconds left to measure.", count) % {"count": count}


def objective_in_words(policy: Policy) -> str:
    """What tuning aims at, with its target."""
    target = {"quantile": policy.latency_quantile, "target": f"{policy.latency_target_ms:,}"}
    if policy.objective == Objective.LOWEST_COST:
        return _("Lowest cost that holds p%(quantile)s at %(target)s ms") % target
    aim = str(policy.get_objective_display())
    if not policy.latency_target_ms:
        return aim
    return _("%(aim)s; target p%(quantile)s at %(target)s ms") % {"aim": aim, **target}


def look_words(state: TuningState) -> str:
    """The last look in words; empty before the first."""
    return _said(state, "words", str(state.look.get("words", "")))


def _said(state: TuningState, name: str, fallback: str) -> str:
    """Words of the last look in the reader's language."""
    said = state.look.get("said")
    return readable(said.get(name), _, fallback) if isinstance(said, dict) else fallback


def look_at(state: TuningState) -> datetime | None:
    """When the last look was; None before the first."""
    try:
        return datetime.fromisoformat(str(state.look.get("at", "")))
    except ValueError:
        return None


def rests_until(state: TuningState, now: datetime) -> datetime | None:
    """Until when nothing new is begun; None where nothing rests."""
    until = state.cooldown_until
    return until if until is not None and until > now else None
