"""/tuning/ and /models/{name}/tuning/: what is tuned, what is being measured, and every decision with its evidence.

State is in the URL (`?model=`, `?knob=`, `?status=`, `?page=`); parts that are polled answer 204 while nothing changed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zlib import crc32

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from models_admin.dashboard import capacity, tuning_state
from models_admin.dashboard.access import asked, model_or_404, page
from models_admin.dashboard.knobs import knob_label, mode_choices
from models_admin.dashboard.model import head
from models_admin.dashboard.paging import page_of
from models_admin.dashboard.tuning_cards import Card, cards
from models_admin.models import Decision, Model, TuningState
from models_admin.models.control import DecisionStatus
from models_admin.selectors import tuning as selectors
from models_admin.selectors.load import machine_now

PAGE_ROWS = 15
FILTERS = ("model", "knob", "status")
FRESH_S = 15.0
"""Age of the host's newest measurement beyond which it says nothing of the memory that is free."""


@page
def tuning(request: HttpRequest) -> HttpResponse:
    """Of all models."""
    context = {**_shared(), **_feed(request, None), **_running_now()}
    context["names"] = Model.objects.order_by("name").values_list("name", flat=True)
    return render(request, "dashboard/tuning.html", context)


@page
def feed_part(request: HttpRequest) -> HttpResponse:
    """The decisions of all models alone, for htmx; 204 while they are what `?seen=` names."""
    return _part(request, _feed(request, None))


@page
def running_part(request: HttpRequest) -> HttpResponse:
    """What is being measured now, of all models, for htmx."""
    return render(request, "parts/tuning_running.html", _running_now())


@page
def model_tuning(request: HttpRequest, name: str) -> HttpResponse:
    """Of one model: its objective, knobs and running trial, what it could carry, its decisions."""
    model = model_or_404(name)
    context = {**head(model), **_shared(), **_now(model), **_feed(request, model), **capacity.context(request, model)}
    context["mode_choices"] = mode_choices()
    return render(request, "dashboard/model_tuning.html", context)


@page
def model_feed_part(request: HttpRequest, name: str) -> HttpResponse:
    """A model's decisions alone, for htmx; 204 while they are what `?seen=` names."""
    return _part(request, {"model": (model := model_or_404(name)), **_feed(request, model)})


@page
def now_part(request: HttpRequest, name: str) -> HttpResponse:
    """A model's running trial, and the knobs' values and words, for htmx."""
    model = model_or_404(name)
    return render(request, "parts/tuning_now.html", {"model": model, **_now(model), "is_part": True})


@page
def moved(request: HttpRequest, name: str = "") -> HttpResponse:
    """The decisions' pages of earlier releases stand here now; their filters come along."""
    here = reverse("model-tuning", args=[name]) if name else reverse("tuning")
    query = request.GET.urlencode()
    return redirect(f"{here}?{query}" if query else here)


def _shared() -> dict[str, Any]:
    return {"switch": selectors.switch()}


def _now(model: Model) -> dict[str, Any]:
    moment = timezone.now()
    state = tuning_state.state_of(model)
    bounds = selectors.bounds_of(model.policy, machine_now(moment, within_s=FRESH_S))
    return {
        "objective": tuning_state.objective_in_words(model.policy),
        "trial": tuning_state.trial_view(state, moment),
        "knobs": tuning_state.knob_rows(model, bounds),
        "look_words": tuning_state.look_words(state),
        "look_at": tuning_state.look_at(state),
        "rests_until": tuning_state.rests_until(state, moment),
    }


def _running_now() -> dict[str, Any]:
    states = TuningState.objects.filter(trial__isnull=False, model__deleted_at=None).order_by("model__name")
    moment: datetime = timezone.now()
    rows = states.select_related("model", "trial")
    return {"running": [(state.model, tuning_state.trial_view(state, moment)) for state in rows]}


def _feed(request: HttpRequest, model: Model | None) -> dict[str, Any]:
    chosen = {name: asked(request, name) for name in FILTERS}
    if model is not None:
        chosen["model"] = model.name
    rows = _decisions()
    for name, column in (("model", "model__name"), ("knob", "knob"), ("status", "status")):
        if chosen[name]:
            rows = rows.filter(**{column: chosen[name]})
    paged = page_of(request, rows, PAGE_ROWS)
    shown = cards(paged.rows, frozen=selectors.is_frozen())
    query = request.GET.copy()
    query.pop("seen", None)
    return {
        "cards": shown,
        "paged": paged,
        "chosen": chosen,
        "is_filtered": any(chosen[name] for name in FILTERS if model is None or name != "model"),
        "knob_choices": _knobs(model),
        "status_choices": DecisionStatus.choices,
        "query": query.urlencode(),
        "seen": _fingerprint(shown, paged.total),
    }


def _decisions() -> QuerySet[Decision]:
    related = ("model__policy", "model__scaling", "model__tuning__trial")
    return Decision.objects.select_related(*related).filter(model__deleted_at=None).order_by("-at", "-id")


def _knobs(model: Model | None) -> list[tuple[str, str]]:
    rows = Decision.objects.filter(model__deleted_at=None) if model is None else Decision.objects.filter(model=model)
    names = rows.order_by("knob").values_list("knob", flat=True).distinct()
    return sorted(((name, knob_label(name)) for name in names), key=lambda pair: pair[1])


def _part(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    if asked(request, "seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "parts/tuning_feed.html", context)


def _fingerprint(shown: list[Card], total: int) -> str:
    """Differs where what is shown differs."""
    said = [
        (card.decision.pk, card.decision.status, card.decision.outcome, card.may_undo, card.blocked, card.chart)
        for card in shown
    ]
    return f"{crc32(repr((total, said)).encode()):08x}"
