"""Slows down guessing of passwords: by user name and by address, counted in the shared cache.

Rules: a right password within the limits forgets the user name's failures; counters end by themselves. The address
counts more tries than the name, since many people may share one; of IPv6 the network of 64 bits counts, since one
client may use every address in it. While the shared cache is away each process counts by itself: people can log in,
and guessing is slow still (F15).
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from collections.abc import Callable
from typing import TypeVar

from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

WINDOW_S = 300
# OWASP suggests a handful of tries a name; larger helps guessing, smaller locks out the forgetful.
MAX_FAILURES_PER_NAME = 8
MAX_FAILURES_PER_ADDRESS = 40


Result = TypeVar("Result")
_own = LocMemCache("login-failures", {})


def is_blocked(username: str, address: str) -> bool:
    """True if this name or address has failed too often in the last WINDOW_S seconds."""
    keys = [_name_key(username), _address_key(address)]
    counts = _on_store(lambda store: store.get_many(keys))
    by_name, by_address = counts.get(_name_key(username), 0), counts.get(_address_key(address), 0)
    return by_name >= MAX_FAILURES_PER_NAME or by_address >= MAX_FAILURES_PER_ADDRESS


def note_failure(username: str, address: str) -> None:
    """Count one wrong password."""
    for key in (_name_key(username), _address_key(address)):
        _on_store(lambda store, key=key: _count(store, key))


def forget(username: str) -> None:
    """A right password: the name starts anew."""
    _on_store(lambda store: store.delete(_name_key(username)))


def _count(store: BaseCache, key: str) -> None:
    if not store.add(key, 1, WINDOW_S):
        try:
            store.incr(key)
        except ValueError:  # ended between the two calls
            store.set(key, 1, WINDOW_S)


def _on_store(work: Callable[[BaseCache], Result]) -> Result:
    try:
        return work(cache)
    except (RedisError, OSError) as error:
        log.warning("the shared cache is away, wrong passwords are counted in this process alone: %s", error)
        return work(_own)


def _name_key(username: str) -> str:
    digest = hashlib.sha256(username.casefold().encode()).hexdigest()
    return f"login-failures:name:{digest}"


def _address_key(address: str) -> str:
    digest = hashlib.sha256(_client(address).encode()).hexdigest()
    return f"login-failures:address:{digest}"


def _client(address: str) -> str:
    """What one client cannot change at will; the text itself where it is no address (a socket of this machine)."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    return str(known.ipv4_mapped or ipaddress.ip_network((int(known), 64), strict=False))
