"""Puts this folder on the path, so that test modules of several folders share helpers such as `api_cast`.

And holds every test to this: a database connection that another thread than the test's own opened is closed when the
test ends. One that stays is closed by the garbage collector some time later or never, and until then PostgreSQL does
not drop the database: a fault of the run's end that names the wrong test.

It also marks as `servers` every test that PostgreSQL or Redis may make a difference to, so that only those run twice,
and has no property test judged by how long a busy machine takes to draw or run its examples. No test finds another
language active than the site's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils import translation
from hypothesis import HealthCheck, settings

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

PATIENCE_S = 10.0
"""For threads that are about to end: the executor of a loop that was closed, a backend whose client has just left."""
LOOK_EACH_S = 0.02
OF_SERVERS = frozenset({"db", "transactional_db", "live_server", "fresh", "forgotten_failures"})
"""Fixtures that lead to the database, to what feeds the live sockets, and to Django's cache."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the database or Redis. Django refuses the database to any other test of this process."""
    for item in items:
        asks = OF_SERVERS.intersection(getattr(item, "fixturenames", ()))
        if asks or any(item.get_closest_marker(name) for name in ("django_db", "postgres", "redis")):
            item.add_marker("servers")


@pytest.fixture(autouse=True)
def no_language_outlives_the_test() -> Iterator[None]:
    """A page asked for in Chinese leaves its language active in the thread: the next request's middleware sets it."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def no_connection_outlives_the_test() -> Iterator[None]:
    """Fail with the thread's name where a connection of another thread is left open, and close it."""
    opened: list[tuple[BaseDatabaseWrapper, str]] = []

    def note(connection: BaseDatabaseWrapper, **_: Any) -> None:
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            opened.append((connection, thread.name))

    connection_created.connect(note)
    yield
    connection_created.disconnect(note)
    give_up_s = time.monotonic() + PATIENCE_S
    while any(left.connection is not None for left, _ in opened) and time.monotonic() < give_up_s:
        time.sleep(LOOK_EACH_S)
    names = [name for left, name in opened if left.connection is not None]
    for left, _ in opened:
        left.inc_thread_sharing()  # its own thread may have ended
        left.close()
        left.dec_thread_sharing()
    if names:
        pytest.fail(f"Threads left their database connections open: {', '.join(sorted(names))}.", pytrace=False)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database; at the end, whoever else is still connected to it (a child process) is named and put out.

    Without that PostgreSQL refuses to drop it, with words that say of nobody who it is.
    """
    yield
    with django_db_blocker.unblock():
        if connection.vendor != "postgresql":
            return
        give_up_s = time.monotonic() + PATIENCE_S
        while (others := _other_backends()) and time.monotonic() < give_up_s:
            time.sleep(LOOK_EACH_S)
        with connection.cursor() as cursor:
            for backend, _ in others:
                cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
        connection.close()
    if others:
        words = "; ".join(words for _, words in others)
        pytest.fail(f"Processes left their connections to the test database open: {words}.", pytrace=False)


def _other_backends() -> list[tuple[int, str]]:
    """Who else is connected to the test database: the backend's number, and what it said and did last."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid, concat_ws(' ', application_name, client_port, state, left(query, 200)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [(int(pid), str(words)) for pid, words in cursor.fetchall()]
