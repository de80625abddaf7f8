"""The panel that answers how many instances a rate and a latency need: `?rate=&latency=&quantile=` in the URL."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.dashboard.access import asked, model_or_404, page
from models_admin.models import Model
from models_admin.selectors import tuning as selectors
from proxy.tuner.capacity import CapacityAnswer, capacity, fit_from

QUANTILES = (95, 99)
MOST = 1e9
"""Largest rate and latency that are taken."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the form asks. `error`: why it cannot be asked so; empty where it can."""

    rate: str
    latency: str
    quantile: int
    error: str

    @property
    def is_asked(self) -> bool:
        """True where somebody asked, and not just opened the page."""
        return bool(self.rate)


@page
def capacity_part(request: HttpRequest, name: str) -> HttpResponse:
    """The panel alone, for htmx; the page's URL then holds the question."""
    model = model_or_404(name)
    found = context(request, model)
    response = render(request, "parts/capacity.html", {"model": model, **found})
    response.headers["HX-Push-Url"] = f"{reverse('model-tuning', args=[name])}?{request.GET.urlencode()}"
    return response


def context(request: HttpRequest, model: Model) -> dict[str, Any]:
    """What the panel shows: the question, its answer from the live fit, predicted beside measured now."""
    question = question_of(request, model)
    answer = _ask(model, question) if not question.error else None
    return {"question": question, "answer": answer, "present": _present(answer), "quantiles": QUANTILES}


def question_of(request: HttpRequest, model: Model) -> Question:
    """The question in the URL; the policy's target where none is asked."""
    policy = model.policy
    quantile = asked(request, "quantile")
    rate, latency = asked(request, "rate"), asked(request, "latency")
    error = ""
    if rate and (not _is_number(rate) or not float(rate) > 0):
        error = _("Ask for a rate above 0, at most a billion.")
    elif latency and not _is_number(latency):
        error = _("Ask for a latency of 0 (any) to a billion ms.")
    return Question(
        rate,
        latency or str(policy.latency_target_ms),
        int(quantile) if quantile in {str(one) for one in QUANTILES} else policy.latency_quantile,
        error,
    )


def _is_number(text: str) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return isfinite(value) and 0 <= value <= MOST


def _ask(model: Model, question: Question) -> CapacityAnswer:
    """The answer from the live fit of the last seconds. A page that was just opened asks for the present rate."""
    window = selectors.last_window(model.name, timezone.now())
    fit = fit_from(window, selectors.settings_of(model))
    rate = float(question.rate) if question.rate else (window.arrivals_per_s if window else 0.0)
    return capacity(
        fit, rate, float(question.latency), quantile=question.quantile, max_instances=model.policy.max_instances
    )


def _present(answer: CapacityAnswer | None) -> list[tuple[str, Any, Any, Any]]:
    """Predicted beside measured at the present load: name, predicted, measured, error in words."""
    now = answer.present if answer is not None else {}
    return [
        (
            f"p{percent}",
            now.get(f"predicted_p{percent}_ms"),
            now.get(f"measured_p{percent}_ms"),
            _signed(now.get(f"error_ratio_p{percent}")),
        )
        for percent in (QUANTILES if now else ())
    ]


def _signed(ratio: float | None) -> str:
    return "–" if ratio is None else f"{100 * ratio:+.0f}%"
