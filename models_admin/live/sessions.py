"""Whether the logins behind the sockets hold: the session exists, its user is active, the password is the same."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

Identity = tuple[int, bool]
_USER_FIELDS = ("pk", "password", "is_active", "is_staff")


class Login(NamedTuple):
    """Who a session belongs to, and the rows that say so: while they stay the same, it does."""

    who: Identity
    session_data: str
    user_row: tuple[Any, ...]


def identity(session_key: str | None) -> Identity | None:
    """(user id, is staff) of a live session, None when it has ended. Reads the session store anew each time."""
    user = _user(session_key)
    return None if user is None else (user.pk, bool(user.is_staff))


def login(session_key: str | None) -> Login | None:
    """A live session's login, None when it has ended. Blocks on the database."""
    rows = Session.objects.filter(session_key=session_key).values_list("session_data", flat=True)
    session_data = rows.first() if session_key else None
    return None if session_data is None else _login(session_key, session_data)


def still(logins: Mapping[str, Login]) -> dict[str, Login]:
    """The logins as they are now, by session; those that ended are left out. Blocks on the database.

    Two queries for all, since hundreds of sockets ask every few seconds; a session is decoded and its user's password
    hash compared (in the process that answers inference) only where one of its rows changed.
    """
    rows = Session.objects.filter(session_key__in=logins, expire_date__gt=timezone.now())
    users = get_user_model().objects.filter(pk__in={known.who[0] for known in logins.values()})
    session_data: dict[str, str] = dict(rows.values_list("session_key", "session_data"))
    user_rows = {row[0]: row for row in users.values_list(*_USER_FIELDS)}
    now = {}
    for key, data in session_data.items():
        known = logins[key]
        is_same = (known.session_data, known.user_row) == (data, user_rows.get(known.who[0]))
        found = known if is_same else _login(key, data)
        if found is not None:
            now[key] = found
    return now


def _login(session_key: str | None, session_data: str) -> Login | None:
    """`session_data` was read before: where it has changed since, the next look finds the difference."""
    user = _user(session_key)
    if user is None:
        return None
    row = tuple(getattr(user, name) for name in _USER_FIELDS)
    return Login((user.pk, bool(user.is_staff)), session_data, row)


def _user(session_key: str | None) -> Any:
    """The session's active user; None when it has none any more."""
    if not session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(cast("HttpRequest", SimpleNamespace(session=store)))
    return user if user.is_authenticated and user.is_active and user.pk is not None else None
