"""Reads for rollouts: those of a model, and what was measured of a candidate beside the default version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet, Sum

from models_admin.models import MetricSample, NodeStatus, Rollout
from models_admin.models.measurements import SECOND_S, WHOLE_MODEL
from models_admin.models.rollouts import RolloutModeChoice
from models_admin.selectors.histograms import merged
from proxy.core.words import Words
from proxy.metrics import histogram
from proxy.tuner.evidence import Compared, Counts
from proxy.tuner.rollout import Window

WEB_NODE = "web"
RECENT_S = 20
"""The last seconds that are judged by themselves. Smaller: what breaks late is seen sooner, on fewer requests."""
BASELINE_S = 600
"""How far back the default version is looked at for what is usual, from the rollout's start. A candidate at 100 %
leaves the default without traffic, and what it did before is still what the candidate is held to."""
ENOUGH_BESIDE = 100
"""Answers of the default beside the candidate that are compared with rather than older ones: the same time has the same
load."""
MAX_STEP_S = 7_200
"""Longest look back into one step: seconds are kept for two hours."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the decision takes of the database. `age_s` is that of the data plane's last word (None: it said none)."""

    windows: tuple[Window, ...]
    candidate_state: str
    trouble: str
    failed_starts: int
    age_s: float | None
    stopped: str = ""


def rollouts(model_name: str) -> QuerySet[Rollout]:
    """Every rollout of one model, newest first."""
    return Rollout.objects.select_related("model", "candidate").filter(model__name=model_name)


def measure(rollout: Rollout, *, now: datetime) -> Measured:
    """Both versions since the step began and over the last seconds, and how the candidate stands."""
    node = NodeStatus.objects.filter(name=WEB_NODE).first()
    info: Mapping[str, Any] = node.info if node is not None else {}
    key = f"{rollout.model.name}/{rollout.candidate.number}"
    trouble = info.get("troubles", {}).get(key, {})
    return Measured(
        windows=_shadow(rollout, info) if rollout.mode == RolloutModeChoice.SHADOW else _canary(rollout, now),
        candidate_state=info.get("versions", {}).get(key, ""),
        trouble=str(trouble.get("message", "")),
        failed_starts=int(trouble.get("restarts", 0)),
        age_s=None if node is None else (now - node.at).total_seconds(),
        stopped=next((_why(r) for r in info.get("stopped_rollouts", ()) if r["rollout_id"] == rollout.pk), ""),
    )


def _why(stopped: Mapping[str, Any]) -> str:
    """Why the data plane stopped it, with what the words are made of where it said that."""
    return Words(stopped["words"], stopped.get("parts") or None)


def shadow_numbers(rollout: Rollout) -> Mapping[str, Any]:
    """The newest numbers of a shadow as the data plane reports them; empty where it reports none."""
    node = NodeStatus.objects.filter(name=WEB_NODE).first()
    shadows = node.info.get("shadows", []) if node is not None else []
    return next((shadow for shadow in shadows if shadow.get("rollout_id") == rollout.pk), {})


def _canary(rollout: Rollout, now: datetime) -> tuple[Window, ...]:
    """The step and its last seconds; the default over the same time, or over what was before where that says little."""
    step_from = max(rollout.step_started_at, now - timedelta(seconds=MAX_STEP_S))
    default = rollout.model.default_version
    number = default.number if default is not None else 0
    before = rollout.created_at - timedelta(seconds=BASELINE_S)
    baseline = _counts(rollout, number, before)
    if baseline.answered < ENOUGH_BESIDE:  # it was alone, so that its seconds are the whole model's
        baseline = _counts(rollout, WHOLE_MODEL, before, until=rollout.created_at)
    windows = []
    for since in (step_from, max(step_from, now - timedelta(seconds=RECENT_S))):
        beside = _counts(rollout, number, since)
        candidate = _counts(rollout, rollout.candidate.number, since)
        windows.append(Window(candidate, beside if beside.answered >= ENOUGH_BESIDE else baseline))
    return tuple(windows)


def _counts(rollout: Rollout, version: int, since: datetime, until: datetime | None = None) -> Counts:
    rows = MetricSample.objects.filter(
        resolution_s=SECOND_S, model_name=rollout.model.name, version=version, at__gte=since
    )
    if until is not None:
        rows = rows.filter(at__lt=until)
    # Refused or expired: no answer either, and a default that can take it shows it.
    failed = Sum("errors", default=0) + Sum("rejections", default=0)
    sums = rows.order_by().aggregate(answered=Sum("requests", default=0), failed=failed)
    return Counts(sums["answered"], sums["failed"], merged(rows) if sums["answered"] or sums["failed"] else {})


def _shadow(rollout: Rollout, info: Mapping[str, Any]) -> tuple[Window, ...]:
    numbers = next((one for one in info.get("shadows", []) if one.get("rollout_id") == rollout.pk), None)
    if numbers is None:
        return (Window(Counts(), Counts()),)
    compared = int(numbers["compared"])
    mine = histogram.from_json(numbers["candidate_histogram"])
    theirs = histogram.from_json(numbers["default_histogram"])
    return (
        Window(
            Counts(compared, int(numbers["failed"]), mine),
            Counts(compared, 0, theirs),
            Compared(compared, int(numbers["differing"]), float(numbers["largest_difference"])),
        ),
    )
