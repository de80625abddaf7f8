"""The last words of an instance: what it printed, bounded, for the page and for messages after a crash."""

from __future__ import annotations

import re

LIMIT_BYTES = 65_536
HIDDEN = "[hidden]"

# Keys of ours; what follows `Bearer`; passwords in URLs; values of names that say that they are secret.
# Every repetition is bounded: what a model prints must not make a pattern search for long.
_SECRETS = (
    re.compile(r"\bdlp_[A-Za-z0-9_-]{8,64}"),
    re.compile(r"(?i)(?<=\bbearer )[^\s\"',;]{1,2000}"),
    re.compile(r"(?i)(?<=\bauthorization: basic )[^\s\"',;]{1,2000}"),
    re.compile(r"(?s)-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.{0,16000}?(?:-----END [A-Z ]{0,30}-----|\Z)"),
    re.compile(r"(?<=://)[^\s/:@]{0,100}:[^\s/@]{1,200}(?=@)"),
    re.compile(
        r"(?i)(?P<name>(?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)"
        r"[\w.-]{0,30}[\"']?\s{0,8}[=:]\s{0,8})(?:\"[^\"\n]{0,2000}\"|'[^'\n]{0,2000}'|[^\s,;]{1,2000})"
    ),
)


class LogTail:
    """Keeps the newest `LIMIT_BYTES` of a stream. Amortised constant time an appended byte."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def append(self, data: bytes) -> None:
        """Add `data`, forgetting the oldest bytes above the limit."""
        self._kept += data
        if len(self._kept) > 2 * LIMIT_BYTES:
            del self._kept[: -LIMIT_BYTES - 1]  # one more tells that something went before

    def copy(self) -> bytes:
        """What is kept, from where a line begins."""
        return newest(bytes(self._kept), LIMIT_BYTES)

    def tail(self, lines: int = 50) -> str:
        """Return the last `lines` lines as `in_words` shows them."""
        return in_words(self.copy(), lines)


def in_words(data: bytes, lines: int) -> str:
    """The last `lines` lines of `data`, printable and without secrets.

    Control characters would be a way to paint over a terminal. What looks like a key or password is blacked out: a
    model's code may print what it should not, and everybody who may look at the page reads it.
    """
    kept = "\n".join(without_secrets(data.decode("utf-8", "replace")).splitlines()[-lines:])
    return "".join(char if char.isprintable() or char in "\n\t" else "�" for char in kept)


def newest(data: bytes, limit_bytes: int) -> bytes:
    """The end of `data` from where a line begins: what stands after half of a secret is not known for one."""
    if len(data) <= limit_bytes:
        return data
    kept = data[-limit_bytes:]
    begin = kept.find(b"\n") + 1
    return kept[begin:]


def without_secrets(text: str) -> str:
    """`text` with everything that looks like a key, token or password blacked out."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: found.groupdict().get("name", "") + HIDDEN, text)
    return text
