"""Slows down guessing of passwords: by user name and by address, counted in the shared cache.

Rules: a right password within the limits forgets the user name's failures; counters end by themselves. The address
counts more tries than the name, since many people may share one.
"""

from __future__ import annotations

import hashlib

from django.core.cache import cache

WINDOW_S = 300
# OWASP suggests a handful of tries a name; larger helps guessing, smaller locks out the forgetful.
MAX_FAILURES_PER_NAME = 8
MAX_FAILURES_PER_ADDRESS = 40


def is_blocked(username: str, address: str) -> bool:
    """True if this name or address has failed too often in the last WINDOW_S seconds."""
    counts = cache.get_many([_name_key(username), _address_key(address)])
    by_name, by_address = counts.get(_name_key(username), 0), counts.get(_address_key(address), 0)
    return by_name >= MAX_FAILURES_PER_NAME or by_address >= MAX_FAILURES_PER_ADDRESS


def note_failure(username: str, address: str) -> None:
    """Count one wrong password."""
    for key in (_name_key(username), _address_key(address)):
        if not cache.add(key, 1, WINDOW_S):
            try:
                cache.incr(key)
            except ValueError:  # ended between the two calls
                cache.set(key, 1, WINDOW_S)


def forget(username: str) -> None:
    """A right password: the name starts anew."""
    cache.delete(_name_key(username))


def _name_key(username: str) -> str:
    digest = hashlib.sha256(username.casefold().encode()).hexdigest()
    return f"login-failures:name:{digest}"


def _address_key(address: str) -> str:
    digest = hashlib.sha256(address.encode()).hexdigest()
    return f"login-failures:address:{digest}"
