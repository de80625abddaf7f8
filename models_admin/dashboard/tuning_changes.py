"""What people do from the tuning pages: freeze and resume, a knob's mode, apply, dismiss, undo."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.dashboard import tuning_state
from models_admin.dashboard.access import actor_of, change, model_or_404, perform
from models_admin.dashboard.knobs import mode_choices
from models_admin.dashboard.tuning import FILTERS
from models_admin.models import Decision, Model
from models_admin.selectors import tuning as selectors
from models_admin.services import tuning as services
from models_admin.services.errors import ServiceError

ACTIONS: Mapping[str, tuple[Callable[..., object], str | Promise]] = {
    "apply": (services.apply_advice, gettext_lazy("It is applied, and measured now.")),
    "dismiss": (services.dismiss, gettext_lazy("It is dismissed; the same is not proposed again soon.")),
    "undo": (services.undo_decision, gettext_lazy("It is undone.")),
}
MOST_QUERY_CHARACTERS = 1_000


@change
def freeze(request: HttpRequest) -> HttpResponse:
    """Let all tuning stand still."""
    return _set_frozen(request, frozen=True)


@change
def resume(request: HttpRequest) -> HttpResponse:
    """Let tuning go on."""
    return _set_frozen(request, frozen=False)


@change
def set_mode(request: HttpRequest, name: str) -> HttpResponse:
    """Set what tuning does with one knob; answers with the knob's selector, which says what became of it."""
    model = model_or_404(name)
    knob = request.POST.get("knob", "")
    try:
        services.set_mode(actor=actor_of(request), model=model, knob=knob, mode=request.POST.get("mode", ""))
    except ServiceError as error:
        said, failed = error.message, True
    else:
        said, failed = _("Saved"), False
    row = next((row for row in _rows(name) if row.knob == knob), None)
    if row is None:
        raise Http404(said)
    context = {"model": model, "row": row, "mode_choices": mode_choices(), "said": said, "failed": failed}
    return render(request, "parts/tuning_mode.html", context)


@change
def act(request: HttpRequest, decision_id: int, action: str) -> HttpResponse:
    """Apply, dismiss or undo a decision."""
    decision = Decision.objects.select_related("model").filter(pk=decision_id).first()
    if decision is None:
        raise Http404(_("There is no such decision."))
    service, done = ACTIONS[action]
    back = _back(request, decision.model.name if request.POST.get("on_model") else "")
    return perform(request, back, str(done), lambda: service(actor=actor_of(request), decision=decision))


def _set_frozen(request: HttpRequest, *, frozen: bool) -> HttpResponse:
    model = Model.objects.filter(name=request.POST.get("model", "").replace("\0", "")).first()
    done = _("All tuning stands still now.") if frozen else _("Tuning goes on.")
    return perform(
        request,
        _back(request, model.name if model else ""),
        done,
        lambda: services.set_frozen(actor=actor_of(request), frozen=frozen),
    )


def _back(request: HttpRequest, model_name: str) -> str:
    """The page that the person came from, with its filters."""
    path = reverse("model-tuning", args=[model_name]) if model_name else reverse("tuning")
    sent = QueryDict(request.POST.get("query", "")[:MOST_QUERY_CHARACTERS])
    kept = QueryDict(mutable=True)
    for name in (*FILTERS, "page"):
        if name in sent:
            kept[name] = sent[name]
    return f"{path}?{kept.urlencode()}" if kept else path


def _rows(name: str) -> list[tuning_state.KnobRow]:
    model = model_or_404(name)
    return tuning_state.knob_rows(model, selectors.bounds_of(model.policy, None))
