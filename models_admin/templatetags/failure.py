"""What pages need that must be there when nothing else is."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.templatetags.static import static

register = template.Library()


@register.simple_tag
def asset(name: str) -> str:
    """A static file's address; without built files its plain name, so that the page is plain but there."""
    try:
        return static(name)
    except ValueError:
        return f"{settings.STATIC_URL}{name}"
