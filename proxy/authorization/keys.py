"""API keys: what one looks like, and how it is looked up. Pure.

Rules: only a key's SHA-256 is ever stored or compared; the look-up is by digest, so its time says nothing
about how many characters were right. A key has 256 random bits, so a fast hash is enough (no dictionary to try).
"""

from __future__ import annotations

import re
from hashlib import sha256

KEY_PATTERN = re.compile(rb"dlp_[A-Za-z0-9_-]{43}")
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +(\S+)")


def digest_hex(key: str | bytes) -> str:
    """SHA-256 of the whole key string, as kept in the database and the snapshot."""
    return sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def bearer(authorization: bytes) -> bytes | None:
    """The key in an Authorization header, or None if it is not a bearer key of ours."""
    match = _BEARER.fullmatch(authorization)
    return match[1] if match and KEY_PATTERN.fullmatch(match[1]) else None
