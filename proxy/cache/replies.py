"""Whole answers beside the cached outputs they were written from, found by a request's raw body. No clock, no I/O.

A client that repeats a request byte for byte need not be read again: the same body, for the same version, means the
same inputs, outputs, parameters and id. What is kept here only shortens the way to a kept entry; whether there is one,
and how old it may be, stays the store's to say.
Rules: found by the body itself, never by a digest of it; a reply belongs to one tenant (C3), to one version snapshot
(identity, not equality) and to one cached entry, and goes with the entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.requests import Answer
from proxy.core.snapshot import VersionSnapshot

if TYPE_CHECKING:
    from proxy.cache.store import Kept

# Bodies longer than this are read each time: hashing them costs more of what is saved, and they fill the cache.
LONGEST_BODY_BYTES = 8_192
# Spellings of one request that are kept. Each costs memory, so a client that varies its id cannot fill the cache.
REPLIES_PER_ENTRY = 4
# Bytes of the objects around one reply: its own, places in three dictionaries of which two may be its alone (a tenant
# with one request), answer and headers.
REPLY_OVERHEAD_BYTES = 1_100


class Reply:
    """One raw body of one tenant and version → the cached entry, and the answer as written from it."""

    __slots__ = ("answer", "body", "entry", "tenant", "version")

    def __init__(self, version: VersionSnapshot, tenant: str, body: bytes, entry: Kept, answer: Answer) -> None:
        self.version = version
        self.tenant = tenant
        self.body = body
        self.entry = entry
        self.answer = answer

    @property
    def size_bytes(self) -> int:
        """What keeping it comes to."""
        return len(self.body) + len(self.answer.body) + REPLY_OVERHEAD_BYTES


class Replies:
    """The replies of one model's store, by tenant, version number and body. `by_tenant` is read by the store itself,
    since a call for each hit would cost a tenth of it.
    """

    __slots__ = ("by_tenant",)

    def __init__(self) -> None:
        self.by_tenant: dict[str, dict[int, dict[bytes, Reply]]] = {}

    def __len__(self) -> int:
        return sum(len(replies) for numbers in self.by_tenant.values() for replies in numbers.values())

    def at(self, version: VersionSnapshot, tenant: str, body: bytes) -> Reply | None:
        """The reply that stands there, of whichever snapshot."""
        return self.by_tenant.get(tenant, {}).get(version.number, {}).get(body)

    def add(self, reply: Reply) -> None:
        """Keep `reply`."""
        numbers = self.by_tenant.setdefault(reply.tenant, {})
        numbers.setdefault(reply.version.number, {})[reply.body] = reply

    def discard(self, reply: Reply) -> None:
        """Forget `reply` if it is still the one in its place, and the dictionaries that it was the last in."""
        number = reply.version.number
        numbers = self.by_tenant.get(reply.tenant, {})
        replies = numbers.get(number, {})
        if replies.get(reply.body) is not reply:
            return
        del replies[reply.body]
        if not replies:
            del numbers[number]
        if not numbers:
            del self.by_tenant[reply.tenant]
