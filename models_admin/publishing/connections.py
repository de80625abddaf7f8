"""Database connections of threads that no request and no task looks after."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections, connection


@contextmanager
def looked_after() -> Iterator[None]:
    """Drop connections that broke or are too old, before and after, as Django does around a request.

    Within a transaction they stay: its caller looks after them.
    """
    if connection.in_atomic_block:
        yield
        return
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
