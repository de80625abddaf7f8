"""Whether the login behind a socket still holds: the session exists, its user is active, the password is the same."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace
from typing import cast

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

Identity = tuple[int, bool]


def identity(session_key: str | None) -> Identity | None:
    """(user id, is staff) of a live session, None when it has ended. Reads the session store anew each time."""
    if not session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(cast("HttpRequest", SimpleNamespace(session=store)))
    if not user.is_authenticated or not user.is_active or user.pk is None:
        return None
    return user.pk, bool(user.is_staff)
