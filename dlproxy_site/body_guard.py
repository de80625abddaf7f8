"""Refuses bodies before they are read: too long for their route, of unknown length, or large and anonymous.

Place: ahead of Django's handler, which would spool a whole body to disk before any view asks who sent it.
Rules: a body over `SMALL_BYTES` needs a live session or a known key; an upload a session that may change things, or an
admin's key (U21, U27); one over its route's cap is never read. A piece of an upload that is not cut further
(`upload_pieces`) is a checked one, or faulty.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum, auto
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from django.http.cookie import parse_cookie
from django.utils import translation

from dlproxy_site.upload_pieces import stays_whole
from models_admin.api.resumable import MAX_CHECKED_BYTES
from models_admin.dashboard import failures
from models_admin.live import sessions
from models_admin.publishing.connections import looked_after
from proxy import gateway

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# Forms and JSON changes of the control plane; larger would only serve to fill a disk.
SMALL_BYTES = 1_048_576
# What multipart framing and the other fields of an upload may add to the file.
UPLOAD_SLACK_BYTES = 1_048_576
_UPLOAD = re.compile(r"^/(?:(?:api/v1/)?models/[^/]+/(?:versions|upload)|api/v1/uploads/[^/]+)/?$")
_INFER = re.compile(r"^/api/v1/models/[^/]+/(?:versions/[^/]+/)?infer/?$")


class Sender(Enum):
    """Who sends a body."""

    STRANGER = auto()
    MAY_NOT = auto()
    """Known, but this route is not for them."""
    MAY = auto()


def cap_bytes(path: str, max_upload_bytes: int, max_infer_bytes: int) -> int:
    """Longest body that `path` may receive. Pure."""
    if _UPLOAD.match(path):
        return max_upload_bytes + UPLOAD_SLACK_BYTES
    return max_infer_bytes if _INFER.match(path) else SMALL_BYTES


def refusal(path: str, headers: dict[bytes, bytes], cap: int, sender: Sender) -> tuple[int, str] | None:
    """Status and words, or None if the body may be read. Pure."""
    length = headers.get(b"content-length")
    if length is None:
        if b"transfer-encoding" in headers:
            return 411, "Send the body's length in Content-Length."
        return None
    if not length.isdigit():
        return 400, "Content-Length must be a whole number of bytes."
    size_bytes = int(length)
    if size_bytes > cap:
        return 413, f"The body has {size_bytes} bytes; {path} takes at most {cap}."
    if size_bytes <= SMALL_BYTES or sender is Sender.MAY:
        return None
    if sender is Sender.MAY_NOT:
        return 403, "Your account or key may not upload. Ask an administrator."
    return 401, "Log in or send an API key before sending a body of this size."


class BodyGuard:
    """ASGI middleware around Django's handler."""

    def __init__(self, application: Application, max_infer_bytes: int) -> None:
        self._application = application
        self._max_infer_bytes = max_infer_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request: refused here, or passed on untouched."""
        headers = dict(scope["headers"])
        cap = cap_bytes(scope["path"], settings.DLPROXY_MAX_UPLOAD_BYTES, self._max_infer_bytes)
        if stays_whole(scope):
            cap = min(cap, MAX_CHECKED_BYTES)
        length = headers.get(b"content-length", b"0")
        large = length.isdigit() and int(length) > SMALL_BYTES
        try:
            sender = await _sender(scope["path"], headers) if large else Sender.STRANGER
            refused = refusal(scope["path"], headers, cap, sender)
        except (InterfaceError, OperationalError) as error:
            log.error("a body for %s was refused, its sender cannot be looked up: %s", scope["path"], error)  # noqa: TRY400
            refused = 503, "The database is busy or away, so your session cannot be looked up; try again."
        if refused is None:
            await self._application(scope, receive, send)
            return
        answer = await sync_to_async(_answer)(scope, *refused)
        answer_headers = [
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.items()),
            (b"content-length", str(len(answer.content)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": answer_headers})
        await send({"type": "http.response.body", "body": answer.content})


def _answer(scope: Scope, status: int, detail: str) -> HttpResponse:
    """The refusal in the language of whoever sent the body, which is not looked at."""
    request = ASGIRequest(scope, BytesIO())
    with translation.override(translation.get_language_from_request(request)):
        return failures.refused_body(request, status, detail)


async def _sender(path: str, headers: dict[bytes, bytes]) -> Sender:
    """Whether the request has a live session or a key, and the route is for them at all. The view decides the rest."""
    is_upload = _UPLOAD.match(path) is not None
    authorization = headers.get(b"authorization", b"")
    if authorization.partition(b" ")[0].lower() == b"bearer":  # another scheme is somebody else's, as for the API
        holder = gateway.key_holder(authorization)
        if holder is None:
            return Sender.STRANGER
        return Sender.MAY if holder.is_admin or not is_upload else Sender.MAY_NOT
    # As Django reads them: Python's own reader gives up all cookies for one that another program of this host has set.
    cookie = parse_cookie(headers.get(b"cookie", b"").decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
    if not cookie:
        return Sender.STRANGER
    who = await sync_to_async(_identity)(cookie)
    if who is None:
        return Sender.STRANGER
    _user_id, is_staff = who
    return Sender.MAY if is_staff or not is_upload else Sender.MAY_NOT


def _identity(session_key: str) -> sessions.Identity | None:
    """Blocking, in a thread of which no request looks after the connection: a broken one would stay."""
    with looked_after():
        return sessions.identity(session_key)
