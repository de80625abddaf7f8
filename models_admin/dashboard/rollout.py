"""The rollout, rollback and labels of a model's versions page: what is shown, and the changes made from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.dashboard.access import actor_of, change, model_or_404, page, perform, revision_of
from models_admin.models import Model, ModelVersion, Rollout
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import RolloutModeChoice
from models_admin.selectors import rollouts as selectors
from models_admin.services import labels, rollouts
from models_admin.services.errors import Invalid, NotFound, PreconditionFailed

MOST_STEPS_SHOWN = 8
"""Rows of the steps editor. The API takes more (rollout_rules.MAX_STEPS)."""
PAST_SHOWN = 5
# What may be done to a rollout by POST, with the words for when it was done.
ACTIONS: Mapping[str, tuple[Callable[..., object], str]] = {
    "advance": (rollouts.advance, gettext_lazy("The rollout went on to its next step.")),
    "hold": (
        rollouts.hold,
        gettext_lazy("The rollout is held. It is still watched, and ends if the candidate is surely worse."),
    ),
    "resume": (rollouts.resume, gettext_lazy("The rollout goes on; its step begins anew.")),
    "promote": (
        rollouts.promote,
        gettext_lazy("The candidate is the default now; the one before stays warm for a while."),
    ),
    "abort": (rollouts.abort, gettext_lazy("The rollout is aborted; the default answers every call again.")),
    "cancel": (rollouts.cancel, gettext_lazy("The rollout is cancelled; the default answers every call again.")),
}
BOUNDS = ("max_error_percent", "max_p99_ratio", "max_differing_percent", "tolerance", "instances")


@dataclass(frozen=True, slots=True)
class Side:
    """One version's numbers in the present step; None where nothing was measured."""

    name: str
    requests: int | None
    failed: int | None
    p99_ms: float | None

    @property
    def failed_percent(self) -> float | None:
        """Share of its requests that failed."""
        return None if not self.requests or self.failed is None else 100 * self.failed / self.requests


def rollout_context(model: Model) -> dict[str, Any]:
    """What the versions page shows of rollouts, the way back, and labels."""
    past = [row for row in selectors.rollouts(model.name)[: PAST_SHOWN + 1] if not row.is_active][:PAST_SHOWN]
    return {
        **live_context(model),
        "past_rollouts": past,
        "rollback": rollouts.rollback_target(model),
        "candidates": candidates(model),
        "labels": model.labels.select_related("version"),
        "label_targets": [row for row in model.versions.all() if row.state == VersionState.READY],
        "modes": RolloutModeChoice.choices,
        "step_rows": _step_rows(),
        "bounds": {name: Rollout._meta.get_field(name) for name in BOUNDS},
    }


def live_context(model: Model) -> dict[str, Any]:
    """The rollout that runs, with its last numbers; empty where none does."""
    rollout = rollouts.active_rollout(model)
    if rollout is None:
        return {"rollout": None}
    evidence = rollout.evidence
    default = model.default_version
    sides = [
        Side(SIDES[role] % {"number": version.number}, *(evidence.get(f"{role}_{name}") for name in SIDE_NUMBERS))
        for role, version in (("default", default), ("candidate", rollout.candidate))
        if version is not None
    ]
    age_s = (timezone.now() - rollout.step_started_at).total_seconds()
    hold_s = rollout.steps[rollout.step_index]["hold_s"]
    shadow = selectors.shadow_numbers(rollout) if rollout.mode == RolloutModeChoice.SHADOW else {}
    return {
        "rollout": rollout,
        "sides": sides,
        "shadow": shadow,
        "spread": spread(shadow.get("differences", ())),
        "step_number": rollout.step_index + 1,
        "is_last_step": rollout.step_index + 1 == len(rollout.steps),
        "held_s": min(age_s, hold_s),
        "hold_s": hold_s,
    }


SIDES = {
    "default": gettext_lazy("Version %(number)s (default)"),
    "candidate": gettext_lazy("Version %(number)s (candidate)"),
}
SIDE_NUMBERS = ("requests", "failed", "p99_ms")


def spread(counts: Any) -> list[tuple[str, int]]:
    """A shadow's differences by size, in words; sizes that never came are left out."""
    between = (f"1e{power}–1e{power + 1}" for power in range(-8, 0))
    sizes = [_("equal"), _("below 1e-8"), *between, _("1 and above")]
    return [(size, count) for size, count in zip(sizes, counts, strict=False) if count]


def candidates(model: Model) -> list[ModelVersion]:
    """Versions that a rollout may begin with, newest first."""
    default = model.default_version_id
    return [row for row in model.versions.all() if row.state == VersionState.READY and row.pk != default]


@page
def status_part(request: HttpRequest, name: str) -> HttpResponse:
    """The running rollout alone, for htmx; once it has ended, the whole page is asked for anew."""
    model = model_or_404(name)
    context = live_context(model)
    response = render(request, "parts/rollout.html", {"model": model, **context})
    if context["rollout"] is None:
        response.headers["HX-Refresh"] = "true"
    return response


@change
def start(request: HttpRequest, name: str) -> HttpResponse:
    """Begin a rollout."""
    model = model_or_404(name)

    def begin() -> None:
        rollouts.start(
            actor=actor_of(request),
            model=model,
            candidate=_version(model, request.POST.get("candidate", "")),
            mode=request.POST.get("mode", ""),
            steps=_steps(request),
            expected_revision=revision_of(request),
            **{bound: _bound(request, bound) for bound in BOUNDS if request.POST.get(bound, "").strip()},
        )

    return perform(request, _back(name), _("The rollout has begun; this page follows it."), begin)


@change
def act(request: HttpRequest, name: str, action: str) -> HttpResponse:
    """Advance, hold, resume, promote, abort or cancel."""
    model = model_or_404(name)
    service, done = ACTIONS[action]
    # Taking the traffic away is never too late, whatever somebody changed meanwhile.
    expected = None if action == "abort" else revision_of(request)
    return perform(
        request,
        _back(name),
        done,
        lambda: service(actor=actor_of(request), rollout=_active(request, model), expected_revision=expected),
    )


@change
def weight(request: HttpRequest, name: str) -> HttpResponse:
    """Set the present step's weight by hand."""
    model = model_or_404(name)
    given = _number(request.POST.get("weight_percent", ""), float)
    return perform(
        request,
        _back(name),
        _("The candidate's share is %(given)s %%.") % {"given": given} if isinstance(given, float) else "",
        lambda: rollouts.set_weight(
            actor=actor_of(request),
            rollout=_active(request, model),
            weight_percent=given,
            expected_revision=revision_of(request),
        ),
    )


@change
def roll_back(request: HttpRequest, name: str) -> HttpResponse:
    """Make the warm version that was replaced last the default again."""
    model = model_or_404(name)
    done = _("%(name)s is back at the version before. It was warm, so nothing had to be loaded.") % {"name": name}
    expected = revision_of(request)
    return perform(
        request,
        _back(name),
        done,
        lambda: rollouts.roll_back(actor=actor_of(request), model=model, expected_revision=expected),
    )


@change
def set_label(request: HttpRequest, name: str) -> HttpResponse:
    """Set a label, or move it."""
    model = model_or_404(name)
    label = request.POST.get("label", "").strip()
    number = request.POST.get("version", "")
    return perform(
        request,
        f"{_back(name)}#labels",
        _("%(label)s stands for version %(number)s now.") % {"label": label, "number": number},
        lambda: labels.set_label(
            actor=actor_of(request),
            model=model,
            name=label,
            version=_version(model, number),
            expected_revision=revision_of(request),
        ),
    )


@change
def remove_label(request: HttpRequest, name: str) -> HttpResponse:
    """Take a label away."""
    model = model_or_404(name)
    label = request.POST.get("label", "")
    done = _("%(label)s is removed; calls that name it are answered 404.") % {"label": label}
    return perform(
        request,
        f"{_back(name)}#labels",
        done,
        lambda: labels.remove_label(
            actor=actor_of(request), model=model, name=label, expected_revision=revision_of(request)
        ),
    )


def _back(name: str) -> str:
    return reverse("model-versions", args=[name])


def _active(request: HttpRequest, model: Model) -> Rollout:
    """The rollout that runs, if it is the one that the form was made from."""
    rollout = rollouts.active_rollout(model)
    if rollout is None:
        raise NotFound(_("No rollout runs; it has ended meanwhile."))
    if request.POST.get("rollout", str(rollout.pk)) != str(rollout.pk):
        raise PreconditionFailed(_("Another rollout runs meanwhile; nothing was changed. This page shows it."))
    return rollout


def _version(model: Model, text: str) -> ModelVersion:
    found = next((row for row in model.versions.all() if str(row.number) == text), None)
    if found is None:
        raise Invalid(_("Choose a version."), field="version")
    return found


def _steps(request: HttpRequest) -> list[dict[str, Any]] | None:
    """The rows of the editor that were filled in; None for none or the default ones, which differ for a shadow."""
    steps = []
    for row in range(1, MOST_STEPS_SHOWN + 1):
        share, hold = (request.POST.get(f"{field}_{row}", "").strip() for field in ("weight", "hold"))
        if share or hold:
            steps.append({"weight_percent": _number(share, float), "hold_s": _number(hold, float)})
    return None if steps == list(rollouts.DEFAULT_STEPS) else steps or None


def _step_rows() -> list[tuple[int, Any, Any]]:
    """Rows of the editor: the default steps, then empty ones."""
    filled = [(step["weight_percent"], step["hold_s"]) for step in rollouts.DEFAULT_STEPS]
    rows = filled + [("", "")] * (MOST_STEPS_SHOWN - len(filled))
    return [(number, *row) for number, row in enumerate(rows, 1)]


def _bound(request: HttpRequest, name: str) -> Any:
    return _number(request.POST[name], int if name == "instances" else float)


def _number(text: str, kind: type[int | float]) -> Any:
    """A number; text that is none goes on as it is, for the service to refuse in words."""
    try:
        return kind(text.strip()[:40])
    except ValueError:
        return text
