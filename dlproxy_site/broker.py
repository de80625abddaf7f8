"""The embedded Celery broker: a folder of messages, one file each (docs/decisions/0011-embedded-broker.md).

Rules: a message is whole or absent (written aside, then renamed); a message is taken by one consumer (the one that
could remove it); a broken file is dropped with a warning; beyond MAX_MESSAGES the oldest are dropped; nothing is left
of a message that could not be written, nor for longer than ABANDONED_AFTER_S of one whose writer was killed. Losing a
message is harmless: the database is the queue of record, and each task looks there for what is due.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem

log = logging.getLogger(__name__)

MAX_MESSAGES = 1_000
"""Messages kept while no worker runs; a worker that comes back needs only the newest, the rest have expired."""

ABANDONED_AFTER_S = 60.0
"""A file aside that is older was left by a killed writer: writing one takes a millisecond. Larger: it stays longer."""

LONGEST_WAIT_S = 0.2
"""How long the worker waits for a message before it looks whether it shall stop. Larger: a stop takes longer."""


class Channel(filesystem.Channel):
    """kombu's file-system channel with atomic writes, atomic takes and a bound."""

    def _put(self, queue: str, payload: dict[str, Any], **_kwargs: Any) -> None:
        folder = Path(self.data_folder_out)
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}.msg"
        aside = folder / f".{name}.part"
        try:
            aside.write_text(json.dumps(payload), encoding="utf-8")
            aside.rename(folder / name)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        for surplus in self._messages(queue)[:-MAX_MESSAGES]:
            surplus.unlink(missing_ok=True)
        for left in _abandoned(folder):
            left.unlink(missing_ok=True)

    def _get(self, queue: str) -> dict[str, Any]:
        for path in self._messages(queue):
            try:
                content = path.read_bytes()
                path.unlink()
            except FileNotFoundError:
                continue  # another consumer was first
            try:
                payload = json.loads(content)
            except ValueError:
                payload = None
            if isinstance(payload, dict):
                return payload
            log.warning("A broken broker message was dropped: %s", path.name)
        raise Empty

    def _messages(self, queue: str) -> list[Path]:
        return sorted(p for p in Path(self.data_folder_in).glob(f"*.{queue}.msg") if not p.name.startswith("."))


def _abandoned(folder: Path) -> Iterator[Path]:
    """What killed writers left in `folder`: hidden files older than ABANDONED_AFTER_S."""
    oldest_s = time.time() - ABANDONED_AFTER_S
    for path in folder.glob(".*.msg.*"):
        try:
            if path.stat().st_mtime < oldest_s:
                yield path
        except FileNotFoundError:
            continue  # its writer has just given it its name


class Transport(filesystem.Transport):
    """What `embedded://` resolves to."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver the next message. Raises TimeoutError when none came within `timeout` or LONGEST_WAIT_S."""
        super().drain_events(connection, LONGEST_WAIT_S if timeout is None else min(timeout, LONGEST_WAIT_S))


TRANSPORT_ALIASES["embedded"] = "dlproxy_site.broker:Transport"
