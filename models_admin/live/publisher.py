"""Feeds the live sockets: each second's report becomes one text, encoded once for all who see the same.

Place: the site's ASGI application calls `start()` once the data plane runs; consumers `watch` and read `text_after`.
Rules: runs on the event loop that also answers inference requests, so the sockets are told of a second a few at a time
(SLICE_S apart) and not all at once; with no socket open nothing is encoded; a socket that has not sent its last second
holds nothing and gets the newest state (W7). A socket shows the data plane of the process that it is connected to (W2).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from models_admin.live import messages
from models_admin.live.messages import State
from proxy import gateway
from proxy.core.reports import SecondReport

# Two minutes of requests per second, for the sparklines of a page just opened.
RECENT_SECONDS = 120
SLICE_S = 0.01
"""Between one few sockets and the next. Smaller: inference requests may wait for more sockets in a row."""
SPREAD_S = 0.8
"""All sockets are told within this time. Larger: the next second may come before the last socket has this one."""

Watcher = Callable[[], None]


class Publisher:
    """The newest second of this process and the sockets that watch it."""

    def __init__(self) -> None:
        self.newest: State | None = None
        self._watchers: dict[Watcher, None] = {}
        self._recent: deque[dict[str, int]] = deque(maxlen=RECENT_SECONDS)
        self._texts: dict[int | None, str] = {}
        self._telling: asyncio.Task[None] | None = None

    @property
    def sockets(self) -> int:
        """How many watch."""
        return len(self._watchers)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` after each second; returns the function that ends it."""
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None)

    def on_second(self, report: SecondReport) -> None:
        """Take a report, and tell the sockets."""
        self.newest = messages.state(report)
        self._texts = {}
        counts = {name: second.requests for name, second in report.models.items() if second.requests}
        counts[""] = report.total.requests
        self._recent.append(counts)
        if self._watchers and (self._telling is None or self._telling.done()):
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    def text_after(self, sent: State | None) -> str | None:
        """What brings a socket that last sent `sent` to the newest second; None where it is there already.

        Made when the first asks, and kept for all who stand at the same second (None: who have nothing yet).
        """
        newest, stands_at = self.newest, None if sent is None else sent["sequence"]
        if newest is None or stands_at == newest["sequence"]:
            return None
        if stands_at not in self._texts:
            difference = messages.snapshot(newest, self.recent()) if sent is None else messages.delta(sent, newest)
            self._texts[stands_at] = messages.encode(difference)
        return self._texts[stands_at]

    def recent(self) -> dict[str, Any]:
        """Requests of each of the last seconds: {"total": [...], "models": {name: [...]}}; idle models are left out."""
        names = {name for counts in self._recent for name in counts if name}
        return {
            "total": [counts.get("", 0) for counts in self._recent],
            "models": {name: [counts.get(name, 0) for counts in self._recent] for name in sorted(names)},
        }

    async def _tell(self) -> None:
        watchers = tuple(self._watchers)
        at_once = slice_size(len(watchers))
        for begin in range(0, len(watchers), at_once):
            if begin:
                await asyncio.sleep(SLICE_S)
            for watcher in watchers[begin : begin + at_once]:
                watcher()


def slice_size(sockets: int) -> int:
    """How many sockets are told at a time, so that all are within SPREAD_S. Pure."""
    return max(1, math.ceil(sockets * SLICE_S / SPREAD_S))


publisher = Publisher()


def start() -> Callable[[], None]:
    """Begin to feed the sockets from this process's data plane; returns the function that ends it."""
    return gateway.subscribe(publisher.on_second)
