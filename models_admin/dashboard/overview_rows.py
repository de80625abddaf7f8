"""The overview's rows: what stands in them, and what has changed in them since a page was made.

A page asks for `since` when the wanted state's generation is another than its own: a promotion, a rollout, a load, a
policy's target, a new model or a deleted one. Figures come by the live socket and are no part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from models_admin import selectors
from models_admin.dashboard.access import asked, page, whole_number
from models_admin.dashboard.status import Status, by_version, listed_status
from models_admin.models import Rollout
from models_admin.models.rollouts import ACTIVE_STATES
from models_admin.selectors import Listed
from models_admin.templatetags.ui import tone
from proxy import gateway
from proxy.core.reports import ModelSecond, SecondReport

PAGE_ROWS = 50
"""Rows of one page. Larger: longer pages, and more for the browser to write each second."""
DELETED = Status("deleted", gettext_lazy("Deleted"), gettext_lazy("It can be restored for a while."))


@dataclass(slots=True)
class ModelRow:
    """One model in the table. What only a page's own rows need is filled in by `complete`."""

    model: Listed
    status: Status
    second: ModelSecond | None
    version_count: int = 0
    target_ms: int = 0
    """The latency that the policy holds; 0: none."""
    quantile: int = 99
    rollout: Rollout | None = None

    @property
    def target_field(self) -> str:
        """The figure that is held to the target."""
        return f"p{self.quantile}_ms"

    @property
    def missed(self) -> bool:
        """True while the last second's latency is above the target."""
        value = getattr(self.second, self.target_field) if self.second else None
        return bool(self.target_ms and value and value > self.target_ms)

    @property
    def words(self) -> str:
        """Which version answers, of how many."""
        number, count = self.model.default_number, self.version_count
        if number is None:
            return ngettext("%(count)s version", "%(count)s versions", count) % {"count": count}
        return _("version %(number)s of %(count)s") % {"number": number, "count": count}

    @property
    def rollout_words(self) -> str:
        """The rollout that runs, in a line that leaves the row as high as it is; empty where there is none."""
        if self.rollout is None:
            return ""
        return _("%(mode)s %(percent)s %% → %(number)s") % {
            "mode": self.rollout.get_mode_display(),
            "percent": f"{self.rollout.weight_percent:g}",
            "number": self.rollout.candidate.number,
        }

    @property
    def target_words(self) -> str:
        """The latency that is held, in words; empty where there is none."""
        if not self.target_ms:
            return ""
        return _("p%(quantile)s ≤ %(target)s ms") % {"quantile": self.quantile, "target": self.target_ms}


def rows_of(models: Iterable[Listed], report: SecondReport | None) -> list[ModelRow]:
    """A row each, without what `complete` adds."""
    known, seconds = (by_version(report), report.models) if report else (None, {})
    return [
        ModelRow(model, listed_status(model.name, model.default_number, model.loaded, known), seconds.get(model.name))
        for model in models
    ]


def complete(rows: Sequence[ModelRow]) -> None:
    """Give the rows of the page what the others need not have: target, count of versions, and the rollout that runs."""
    keys = [row.model.pk for row in rows]
    figures = selectors.targets_and_counts(keys)
    active = Rollout.objects.filter(state__in=ACTIVE_STATES, model__in=keys)
    running = {rollout.model_id: rollout for rollout in active.select_related("candidate")}
    for row in rows:
        row.target_ms, row.quantile, row.version_count = figures.get(row.model.pk, (0, 99, 0))
        row.rollout = running.get(row.model.pk)


def matching(models: Iterable[Listed], query: str) -> list[Listed]:
    """Those whose name contains the words of the search."""
    return [model for model in models if query.lower() in model.name.lower()]


def stands_at(models: Sequence[Listed], report: SecondReport | None) -> dict[str, Any]:
    """What a page is told of the list that it was made of, so that it can ask `since`."""
    return {
        "generation": report.generation if report else 0,
        "listed": len(models),
        "newest": max((model.pk for model in models), default=0),
    }


def changes_of(models: Sequence[Listed], listed: int, newest: int) -> tuple[int, int]:
    """How many models came and how many went since there were `listed` of them, the last made being `newest`. Pure.

    One that came back has its old key: it counts as come unless another went meanwhile.
    """
    came = sum(model.pk > newest for model in models)
    gone = listed + came - len(models)
    return (came, gone) if gone >= 0 else (came - gone, 0)


@page
def since(request: HttpRequest) -> JsonResponse:
    """What the rows of `?models=` say now, and how many models more (`?q=`) or less there are than the page knew."""
    report = gateway.latest_report()  # first: what changes after it has another generation
    models = matching(selectors.models_listed(), asked(request, "q"))
    names = request.GET.get("models", "").split(",")[:PAGE_ROWS]
    by_name = {model.name: model for model in models}
    rows = rows_of([by_name[name] for name in names if name in by_name], report)
    complete(rows)
    told = {name: _gone() for name in names if name and name not in by_name}
    told |= {row.model.name: _told(row) for row in rows}
    came, gone = changes_of(
        models, whole_number(asked(request, "listed"), 9) or 0, whole_number(asked(request, "newest"), 18) or 0
    )
    return JsonResponse(
        {"generation": report.generation if report else 0, "rows": told, "words": change_words(came, gone)}
    )


def change_words(came: int, gone: int) -> str:
    """What changed in the list, in words; empty where nothing did."""
    parts = [
        ngettext("%(count)s new model", "%(count)s new models", came) % {"count": came} if came else "",
        ngettext("%(count)s deleted", "%(count)s deleted", gone) % {"count": gone} if gone else "",
    ]
    said = ", ".join(part for part in parts if part)
    return _("%(changes)s: show") % {"changes": said} if said else ""


def _told(row: ModelRow) -> dict[str, Any]:
    return {
        "default": row.model.default_number,
        "words": row.words,
        "rollout": row.rollout_words,
        "target": row.target_ms,
        "held": row.target_field,
        "target_words": row.target_words,
        "state": _status(row.status),
    }


def _gone() -> dict[str, Any]:
    return {
        "default": None,
        "words": "",
        "rollout": "",
        "target": 0,
        "held": "",
        "target_words": "",
        "state": _status(DELETED),
    }


def _status(status: Status) -> dict[str, str]:
    return {"label": str(status.label), "tone": tone(status.state), "words": str(status.words)}
