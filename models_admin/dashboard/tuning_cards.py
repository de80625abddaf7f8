"""Decisions as the pages' cards: from → to, why, expected against measured, the evidence, what may be done now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import JSONField
from django.utils.translation import gettext as _

from models_admin.dashboard.evidence import EvidenceChart, evidence_chart, spans
from models_admin.dashboard.evidence_words import evidence_rows
from models_admin.dashboard.knobs import knob_label, metric_in_words, metric_label, value_in_words
from models_admin.dashboard.policy_fields import value_with_unit
from models_admin.dashboard.tuning_metrics import COLUMNS, number, of_second, of_window
from models_admin.dashboard.tuning_state import decision_words
from models_admin.models import Decision, MetricSample, Policy, PolicyRevision
from models_admin.models.control import DecisionStatus
from models_admin.models.measurements import SECOND_S, WHOLE_MODEL
from models_admin.selectors.tuning import trial_of
from models_admin.services.policies import EDITABLE_FIELDS, REVISION, in_column
from models_admin.services.tuning import UNDOABLE
from proxy.core.policies import Knob
from proxy.tuner.tuning_view import WINDOW_S

TONES = {
    DecisionStatus.ADVISED: "warn",
    DecisionStatus.MEASURING: "busy",
    DecisionStatus.KEPT: "ok",
}


@dataclass(frozen=True, slots=True)
class Side:
    """Expected or measured: the metric before and after, in words."""

    title: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Card:
    """One decision. `blocked` says why a proposal cannot be applied now; empty where it can."""

    decision: Decision
    label: str
    before: str
    after: str
    tone: str
    explanation: str
    expected: str
    outcome: str
    metric: str
    sides: tuple[Side, ...]
    evidence: list[tuple[str, str]]
    chart: EvidenceChart | None
    may_undo: bool
    blocked: str

    @property
    def is_open(self) -> bool:
        """True for a proposal that waits for a person."""
        return self.decision.status == DecisionStatus.ADVISED


def cards(decisions: Iterable[Decision], *, frozen: bool) -> list[Card]:
    """The cards of these decisions, which come with their model, its policy, scaling and tuning state."""
    shown = list(decisions)
    kept = _kept(shown)
    return [_card(decision, kept.get(decision.pk), frozen=frozen) for decision in shown]


def _kept(decisions: list[Decision]) -> dict[int, tuple[Any, Any]]:
    """Lists and modes before and after a decision, by its id: its columns keep them as a text that may be cut."""
    long = [
        (decision, decision.evidence[REVISION])
        for decision in decisions
        if decision.knob in EDITABLE_FIELDS
        and isinstance(Policy._meta.get_field(decision.knob), JSONField)
        and REVISION in decision.evidence
    ]
    if not long:
        return {}
    rows = PolicyRevision.objects.filter(
        model__in={decision.model_id for decision, _number in long}, revision__in={number for _decision, number in long}
    )
    changes = {(row.model_id, row.revision): row.changes for row in rows}
    found = {decision: changes.get((decision.model_id, number), {}).get(decision.knob) for decision, number in long}
    return {decision.pk: (pair[0], pair[1]) for decision, pair in found.items() if pair}


def _card(decision: Decision, kept: tuple[Any, Any] | None, *, frozen: bool) -> Card:
    before, after = _values(decision, kept)
    metric = str(decision.predicted.get("metric", ""))
    return Card(
        decision=decision,
        label=knob_label(decision.knob),
        before=before,
        after=after,
        tone=TONES.get(DecisionStatus(decision.status), ""),
        # Tuning's reasons often end with what is expected; it is not said twice.
        explanation=decision_words(decision, "explanation"),
        expected="" if decision.expected in decision.explanation else decision_words(decision, "expected"),
        outcome=decision_words(decision, "outcome"),
        metric=metric_label(metric) if metric else "",
        sides=_sides(decision, metric) if metric else (),
        evidence=evidence_rows({name: value for name, value in decision.evidence.items() if name != REVISION}),
        chart=_chart(decision, metric) if metric and decision.applied_at else None,
        may_undo=may_undo(decision, kept),
        blocked=_blocked(decision, frozen=frozen),
    )


def _values(decision: Decision, kept: tuple[Any, Any] | None) -> tuple[str, str]:
    if kept is not None:
        return value_with_unit(decision.knob, kept[0]), value_with_unit(decision.knob, kept[1])
    return value_in_words(decision.knob, decision.from_value), value_in_words(decision.knob, decision.to_value)


def may_undo(decision: Decision, kept: tuple[Any, Any] | None = None) -> bool:
    """Whether an undo would do anything: it is in force, and its knob is as it left it (`kept`: exactly so)."""
    if decision.status not in UNDOABLE:
        return False
    if decision.knob == Knob.INSTANCES:
        return str(decision.model.scaling.wanted_instances) == decision.to_value != decision.from_value
    if kept is not None:
        return bool(getattr(decision.model.policy, decision.knob) == kept[1])
    return (
        decision.knob in EDITABLE_FIELDS
        and in_column(getattr(decision.model.policy, decision.knob)) == decision.to_value
    )


def _blocked(decision: Decision, *, frozen: bool) -> str:
    if decision.status != DecisionStatus.ADVISED:
        return ""
    if frozen:
        return _("All tuning is frozen; resume it first.")
    trial = trial_of(decision.model)
    if trial is not None and decision.knob != Knob.INSTANCES:
        return _("%(knob)s is being measured; one knob at a time.") % {"knob": knob_label(trial.knob)}
    return ""


def _sides(decision: Decision, metric: str) -> tuple[Side, ...]:
    predicted = decision.predicted
    expected = Side(
        _("Expected"),
        metric_in_words(metric, predicted.get("before")),
        metric_in_words(metric, predicted.get("after")),
    )
    if decision.applied_at is None:
        return (expected,)
    before, after = (of_window(metric, decision.measured.get(side)) for side in ("before", "after"))
    return (expected, Side(_("Measured"), metric_in_words(metric, before), metric_in_words(metric, after)))


def _chart(decision: Decision, metric: str) -> EvidenceChart | None:
    applied = decision.applied_at
    if applied is None:
        return None
    before, after = spans(decision.predicted, decision.measured, applied.timestamp(), WINDOW_S)
    rows = MetricSample.objects.filter(
        resolution_s=SECOND_S,
        version=WHOLE_MODEL,
        model_name=decision.model.name,
        at__gte=applied + timedelta(seconds=before.start_s),
        at__lte=applied + timedelta(seconds=after.end_s),
    ).order_by("at")
    seconds = [((row.pop("at") - applied).total_seconds(), row) for row in rows.values("at", *COLUMNS)]
    read = [(at, of_second(metric, row)) for at, row in seconds]
    points = [(at, value) for at, value in read if value is not None]
    return evidence_chart(points, before, after, number(decision.predicted.get("after")), metric)
