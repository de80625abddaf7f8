"""The golden samples of a version's page: added from JSON, recorded from the running version, removed."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from models_admin.dashboard.access import actor_of, change, perform, version_or_404, whole_number
from models_admin.models import GoldenSample, ModelVersion
from models_admin.services import golden as services
from models_admin.services.errors import Conflict, Invalid, ServiceError, TooLarge
from models_admin.services.golden_check import check_now, faults_now
from proxy.core.errors import NotReady

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
            kept = services.add_sample(**common, outputs=sample.get("outputs"))
            _warn_of(request, row, kept)

    return perform(
        request, _back(name, number), _("The sample is kept; it is checked at the version's next load."), keep
    )


@change
def check(request: HttpRequest, name: str, number: int) -> HttpResponse:
    """Hold every sample against the instances that serve now."""
    row = version_or_404(name, number)
    try:
        faults = check_now(actor=actor_of(request), version=row)
    except (ServiceError, NotReady) as error:
        messages.error(request, error.message)
    else:
        for words in faults:
            messages.error(request, words)
        if not faults:
            messages.success(
                request, _("Every sample (%(count)s) is reproduced now.") % {"count": row.golden_samples.count()}
            )
    return redirect(_back(name, number))


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


def _warn_of(request: HttpRequest, version: ModelVersion, sample: GoldenSample) -> None:
    """Say at once what would else be found at the next load: that this sample keeps every further instance away."""
    try:
        faults = faults_now(actor=actor_of(request), version=version, samples=[sample])
    except (Conflict, NotReady):
        return  # it is not loaded: its next load checks, and nothing serves that could be lost
    if faults:
        words = _("The version that serves now does not reproduce this sample, so its next instances would not start.")
        messages.warning(request, f"{words} {faults[0]}")


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
