"""Behind a reverse proxy: whose request it is, for the limit of failed log-ins and the audit trail.

Place: outermost in `dlproxy_site.asgi` where DLPROXY_HTTPS says that a proxy is in front.
Rules: only the last address of X-Forwarded-For is believed, which the proxy itself wrote; what a client sent stands
before it. Without this everybody would come from the proxy, and a stranger's wrong passwords would keep all out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Peer = tuple[str, int]


def client_of(headers: Sequence[tuple[bytes, bytes]], peer: Peer | None) -> Peer | None:
    """The client as the proxy names it, else `peer`. Its port is not known: 0. Pure."""
    named = [value for name, value in headers if name == b"x-forwarded-for"]
    if not named:
        return peer
    last = named[-1].rpartition(b",")[2].strip().decode("latin-1")
    try:
        # Without the zone of a link-local one, which no database takes for an address.
        return str(ipaddress.ip_address(last.partition("%")[0])), 0
    except ValueError:
        return peer
