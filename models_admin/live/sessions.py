"""Whether the logins behind the sockets hold: the session exists, its user is active, the password is the same."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import get_user, get_user_model
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone

Identity = tuple[int, bool]
# All that an identity is made from: the session's row and its user's.
Mark = tuple[str, tuple[Any, ...] | None]


def identity(session_key: str | None) -> Identity | None:
    """(user id, is staff) of a live session, None when it has ended. Reads the session store anew each time."""
    if not session_key:
        return None
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(cast("HttpRequest", SimpleNamespace(session=store)))
    if not user.is_authenticated or not user.is_active or user.pk is None:
        return None
    return user.pk, bool(user.is_staff)


class Identities:
    """The identities of many sessions by two queries, since hundreds of sockets ask every few seconds.

    A session is decoded and its user's password hash compared only where a row changed since that was last done.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mark | None, Identity]] = {}

    def of(self, session_keys: Collection[str]) -> dict[str, Identity]:
        """Who is logged in, by session; sessions that ended are left out. Blocks on the database."""
        rows = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
        texts: dict[str, str] = dict(rows.values_list("session_key", "session_data"))
        fields = ("pk", "password", "is_active", "is_staff")
        users = get_user_model().objects.filter(pk__in={who[0] for _, who in self._known.values()})
        marks = {row[0]: row for row in users.values_list(*fields)}
        known: dict[str, tuple[Mark | None, Identity]] = {}
        for key, text in texts.items():
            mark, who = self._known.get(key, (None, None))
            # The user's row was read before the identity is looked up again: a change in between shows next time.
            now = (text, marks.get(who[0])) if who is not None else None
            if mark is None or mark != now:
                mark, who = now, identity(key)
            if who is not None:
                known[key] = (mark, who)
        self._known = known
        return {key: who for key, (_, who) in known.items()}
