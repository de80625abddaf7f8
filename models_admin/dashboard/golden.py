"""The golden samples of a version's page: added from JSON, recorded from the running version, removed."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from models_admin.dashboard.access import actor_of, change, perform, version_or_404, whole_number
from models_admin.services import golden as services
from models_admin.services.errors import Invalid, TooLarge

RECORD = "record"


@change
def add(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Keep a sample: what was typed, else the file's content. `how=record`: the version is asked for outputs."""
    row = version_or_404(name, number)

    def keep() -> None:
        sample = _sample(request)
        common = {"actor": actor_of(request), "version": row, "inputs": sample.get("inputs"), **_tolerances(request)}
        if request.POST.get("how") == RECORD:
            services.record_sample(**common)
        else:
            services.add_sample(**common, outputs=sample.get("outputs"))

    return perform(
        request, _back(name, number), _("The sample is kept; it is checked at the version's next load."), keep
    )


@change
def remove(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Drop a sample."""
    row = version_or_404(name, number)
    sample_id = whole_number(request.POST.get("sample", ""), 9) or 0
    return perform(
        request,
        _back(name, number),
        _("The sample is removed."),
        lambda: services.remove_sample(actor=actor_of(request), version=row, sample_id=sample_id),
    )


def _back(name: str, number: int) -> str:
    return f"{reverse('version', args=[name, number])}#golden"


def _sample(request: HttpRequest) -> dict[str, Any]:
    text = request.POST.get("json", "").strip()
    file = request.FILES.get("file")
    if not text and file is not None:
        if (file.size or 0) > services.MAX_SAMPLE_BYTES:
            raise TooLarge(
                _("A golden sample may have %(max_sample_bytes)s bytes of JSON.")
                % {"max_sample_bytes": services.MAX_SAMPLE_BYTES}
            )
        text = file.read().decode("utf-8", "replace")
    try:
        sample = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid(_('Give the sample as JSON: {"inputs": [...], "outputs": [...]}.'), field="json") from None
    if not isinstance(sample, dict):
        raise Invalid(_("Give the sample as one JSON object."), field="json")
    return sample


def _tolerances(request: HttpRequest) -> dict[str, Any]:
    given = {name: request.POST.get(name, "").strip() for name in ("rtol", "atol")}
    try:
        return {name: float(text) for name, text in given.items() if text}
    except ValueError:
        raise Invalid(
            _("rtol, atol: numbers from 0 to %(max_tolerance)s.") % {"max_tolerance": f"{services.MAX_TOLERANCE:g}"},
            field="rtol",
        ) from None
