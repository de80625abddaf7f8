"""/styleguide/: the components of static/app.css, each in its states, for those who build pages."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import page
from proxy.core.units import BYTES_PER_MIB

STATES = ("ready", "loading", "draining", "failed", "unloaded")
TOKENS = ("bg", "surface", "surface-2", "border", "text", "muted", "accent", "ok", "warn", "bad")
SERIES = ("c-1", "c-2", "c-3", "c-4", "c-5")
PARTS = ("queue", "batch", "transfer", "message", "compute", "cache", "failed")
PAD_CELLS = range(64)
UPLOAD = {
    "upload": {
        "pk": UUID(int=0),
        "declared": {"filename": "digits.pt", "sha256": "c0ffee" * 10 + "c0ff"},
        "size_bytes": 18 * BYTES_PER_MIB,
    },
    "received_bytes": 8 * BYTES_PER_MIB,
    "ratio": 8 / 18,
}
"""A file whose upload was broken off, as the page of versions shows it."""


@page
def styleguide(request: HttpRequest) -> HttpResponse:
    """The page."""
    context = {"states": STATES, "tokens": TOKENS, "series": SERIES, "parts": PARTS, "cells": PAD_CELLS}
    context["upload"] = UPLOAD
    return render(request, "dashboard/styleguide.html", context)
