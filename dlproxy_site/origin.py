"""Who may open a websocket from a browser: pages of this very server, at the address under which they were loaded.

Place: outermost around the websocket routes. Django's CSRF check holds writes to the same rule; channels' own validator
compares host names only, so that any other program's page on this host could open a socket with the person's cookies.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_ORIGIN = re.compile(r"(https?)://([a-z0-9_.:\[\]-]+)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def is_same_origin(headers: Sequence[tuple[bytes, bytes]], allowed_hosts: Sequence[str]) -> bool:
    """True if the one Origin names the one Host, and the Host is one of ours. Pure."""
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    origin = _ORIGIN.fullmatch(origins[0]) if len(origins) == 1 else None
    if origin is None or len(hosts) != 1:
        return False
    default_port = _DEFAULT_PORTS[origin[1].lower()]
    claimed, asked = (split_domain_port(host) for host in (origin[2], hosts[0]))
    if not asked[0] or (claimed[0], claimed[1] or default_port) != (asked[0], asked[1] or default_port):
        return False
    return validate_host(asked[0], allowed_hosts)


class SameOrigin:
    """ASGI middleware: refuses a websocket before it is accepted."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One websocket."""
        if is_same_origin(scope["headers"], settings.ALLOWED_HOSTS):
            await self._application(scope, receive, send)
        else:
            await WebsocketDenier()(scope, receive, send)
