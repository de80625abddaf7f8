"""Whole answers beside the cached outputs they were written from, found by a request's raw body. No clock, no I/O.

A client that repeats a request byte for byte need not be read again: the same body, for the same version, means the
same inputs, outputs, parameters and id. What is kept here only shortens the way to a kept entry; whether there is one,
and how old it may be, stays the store's to say.
Rules: found by the body itself, never by a digest of it; a reply belongs to one version snapshot (identity, not
equality) and to one cached entry, and goes with the entry.
"""

from __future__ import annotations

from proxy.core.requests import Answer
from proxy.core.snapshot import VersionSnapshot

# Bodies longer than this are read each time: hashing them costs more of what is saved, and they fill the cache.
LONGEST_BODY_BYTES = 8_192
# Spellings of one request that are kept. Each costs memory, so a client that varies its id cannot fill the cache.
REPLIES_PER_ENTRY = 4
# Bytes of the objects around one reply: its own, two places in dictionaries, answer and headers.
REPLY_OVERHEAD_BYTES = 600


class Reply:
    """One raw body of one version → the key of the cached entry, and the answer as written from it."""

    __slots__ = ("answer", "body", "key", "version")

    def __init__(self, version: VersionSnapshot, body: bytes, key: bytes, answer: Answer) -> None:
        self.version = version
        self.body = body
        self.key = key
        self.answer = answer

    @property
    def size_bytes(self) -> int:
        """What keeping it comes to."""
        return len(self.body) + len(self.answer.body) + REPLY_OVERHEAD_BYTES


class Replies:
    """The replies of one model's store, by version number and body."""

    __slots__ = ("_by_number",)

    def __init__(self) -> None:
        self._by_number: dict[int, dict[bytes, Reply]] = {}

    def __len__(self) -> int:
        return sum(len(replies) for replies in self._by_number.values())

    def get(self, version: VersionSnapshot, body: bytes) -> Reply | None:
        """The reply that was kept for this very snapshot of the version."""
        replies = self._by_number.get(version.number)
        if replies is None:
            return None
        reply = replies.get(body)
        return reply if reply is not None and reply.version is version else None

    def at(self, version: VersionSnapshot, body: bytes) -> Reply | None:
        """The reply that stands there, of whichever snapshot."""
        return self._by_number.get(version.number, {}).get(body)

    def add(self, reply: Reply) -> None:
        """Keep `reply`."""
        self._by_number.setdefault(reply.version.number, {})[reply.body] = reply

    def discard(self, reply: Reply) -> None:
        """Forget `reply` if it is still the one in its place."""
        number = reply.version.number
        replies = self._by_number.get(number)
        if replies is not None and replies.get(reply.body) is reply:
            del replies[reply.body]
            if not replies:
                del self._by_number[number]
