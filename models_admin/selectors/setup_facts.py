"""What this node stands on, looked at now: database, broker, disk, versions. Each look is bounded in time."""

from __future__ import annotations

import os
import platform
import shutil
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.translation import gettext as _

from models_admin.selectors.control import NodeView, nodes
from proxy import gateway
from proxy.core.release import VERSION
from proxy.core.reports import SecondReport

PING_LIMIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Ping:
    """Something that was asked whether it is there: its kind and version, how long that took, what went wrong."""

    name: str
    took_ms: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks are made from. `disk_*` is of the disk with the artifacts: its total is what this
    process could fill, so without what the system keeps for itself.
    """

    report: SecondReport | None
    inference_port: int | None
    database: Ping
    broker: Ping
    second_level: Ping | None
    nodes: tuple[NodeView, ...]
    disk_free_bytes: int
    disk_total_bytes: int
    least_free_bytes: int
    versions: tuple[tuple[str, str], ...]


def look() -> Facts:
    """The facts of this moment."""
    disk = shutil.disk_usage(settings.DLPROXY_HOME)
    runtime: Any = gateway.current()
    shared = getattr(settings, "DLPROXY_CACHE_REDIS_URL", "")
    database = _database()
    return Facts(
        report=gateway.latest_report(),
        inference_port=getattr(runtime, "inference_port", None),
        database=database,
        broker=_broker(settings.CELERY_BROKER_URL),
        second_level=_redis(shared) if shared else None,
        nodes=() if database.error else tuple(nodes()),
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.used + disk.free,
        least_free_bytes=settings.DLPROXY_MIN_FREE_BYTES,
        versions=_versions(),
    )


def _database() -> Ping:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}.get(connection.vendor, connection.vendor)
    begun_s = time.monotonic()
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("SELECT sqlite_version()")
                number = cursor.fetchone()[0]
                cursor.execute("PRAGMA journal_mode")
                number = f"{number} ({cursor.fetchone()[0]})"
            else:
                cursor.execute("SHOW server_version")
                number = cursor.fetchone()[0]
    except DatabaseError as error:
        return Ping(name, error=type(error).__name__)
    return Ping(f"{name} {number}", 1_000 * (time.monotonic() - begun_s))


def _broker(url: str) -> Ping:
    if urlsplit(url).scheme.startswith("redis"):
        return _redis(url)
    folder = Path(settings.DLPROXY_HOME)
    return Ping("embedded", error="" if os.access(folder, os.W_OK) else "the data directory cannot be written")


def _redis(url: str) -> Ping:
    host = urlsplit(url).hostname or ""
    begun_s = time.monotonic()
    try:
        client = redis.Redis.from_url(url, socket_timeout=PING_LIMIT_S, socket_connect_timeout=PING_LIMIT_S)
        number = client.info("server")["redis_version"]
        client.close()
    except redis.RedisError as error:
        return Ping(f"Redis at {host}", error=_redis_words(error))
    return Ping(f"Redis {number} at {host}", 1_000 * (time.monotonic() - begun_s))


def _redis_words(error: redis.RedisError) -> str:
    if isinstance(error, redis.TimeoutError):
        return _("nothing came within {seconds:.0f} s").format(seconds=PING_LIMIT_S)
    if isinstance(error, redis.AuthenticationError):
        return _("it refuses the password in its URL")
    if isinstance(error, redis.ConnectionError):
        return _("no connection to it")
    return type(error).__name__


def _versions() -> tuple[tuple[str, str], ...]:
    found = [("dlproxy", VERSION), ("Python", platform.python_version())]
    for name in ("django", "torch"):
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)
