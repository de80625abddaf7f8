"""What pages need that must be there when nothing else is, and where a page that answers a form stands."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

from models_admin.dashboard.failures import came_from

register = template.Library()


@register.simple_tag
def asset(name: str) -> str:
    """A static file's address; without built files its plain name, so that the page is plain but there."""
    try:
        return static(name)
    except ValueError:
        return f"{settings.STATIC_URL}{name}"


@register.filter
def address(request: HttpRequest) -> str:
    """Where to come back to: this page, or where its form was sent from, since the form's target takes changes only."""
    if request.method in ("GET", "HEAD"):
        return request.get_full_path()
    return came_from(request) or reverse("overview")
