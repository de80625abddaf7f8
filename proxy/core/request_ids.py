"""What one request is called: in its answer's header, on the page of requests and in the log. Pure.

Rules: the caller's `X-Request-Id` counts first, then the `id` in its body, then one of ours. What goes into a header or
the log is of a safe alphabet and bounded, so that no caller writes lines of either: an id that is not is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

HEADER = b"x-request-id"
MAX_CHARACTERS = 128
_SAFE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._:/+=@-]{0,127}")


def of_headers(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The id that the caller gave in a header (names in lower case); None if none, several, or one that is not safe."""
    given = [value for name, value in headers if name == HEADER]
    if len(given) != 1:
        return None
    text = given[0].decode("latin-1")
    return text if is_safe(text) else None


def is_safe(text: str) -> bool:
    """True if `text` may stand in a header and in a line of the log."""
    return _SAFE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class RequestIds:
    """What there is to call one request: the header's id (safe or None), the body's (any text), and one made by us."""

    of_header: str | None
    of_body: str | None
    made: str

    def answered(self) -> str:
        """The id in the header of its answer, if that is an error, and in the log."""
        of_body = self.of_body
        return self.of_header or (of_body if of_body and is_safe(of_body) else self.made)

    def shown(self) -> str:
        """The one to show: the caller's own, cut, else ours."""
        return self.of_header or (self.of_body or "")[:MAX_CHARACTERS] or self.made

    def others(self) -> tuple[str, ...]:
        """Those by which it is found, too."""
        others = (self.of_body or "")[:MAX_CHARACTERS], self.answered()
        return tuple(name for name in dict.fromkeys(others) if name and name != self.shown())
