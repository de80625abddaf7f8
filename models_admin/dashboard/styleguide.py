"""/styleguide/: the components of static/app.css, each in its states, for those who build pages."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from models_admin.dashboard.access import page

STATES = ("ready", "loading", "draining", "failed", "unloaded")
TOKENS = ("bg", "surface", "surface-2", "border", "text", "muted", "accent", "ok", "warn", "bad")
SERIES = ("c-1", "c-2", "c-3", "c-4", "c-5")


@page
def styleguide(request: HttpRequest) -> HttpResponse:
    """The page."""
    context = {"states": STATES, "tokens": TOKENS, "series": SERIES}
    return render(request, "dashboard/styleguide.html", context)
