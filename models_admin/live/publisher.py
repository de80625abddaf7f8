"""Feeds the live sockets: each second's report becomes one message, encoded once for all who see the same.

Place: the site's ASGI application calls `start()` once the data plane runs; consumers `watch` and read `message_after`.
Rules: runs on the event loop that also answers inference requests, so the sockets are told of a second a few at a time
(SLICE_S apart) and not all at once; with no socket open nothing is made of a report; a socket that has not sent its
last second holds nothing and gets the newest state (W7). A socket shows the data plane of the process that it is
connected to (W2).
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from models_admin.live import frames, messages, views
from models_admin.live.frames import Message
from models_admin.live.messages import State
from models_admin.live.views import View
from proxy import gateway
from proxy.core.reports import SecondReport

# Two minutes of requests per second, for the sparklines of a page just opened.
RECENT_SECONDS = 120
SLICE_S = 0.01
"""Between one few sockets and the next. Smaller: inference requests may wait for more sockets in a row."""
AT_ONCE = 3
"""Sockets told in a row where there are few. Larger: longer rows (70 microseconds a socket); smaller: more of them."""
SPREAD_S = 0.8
"""All sockets are told within this time. Larger: the next second may come before the last socket has this one."""

Watcher = Callable[[], None]


class Publisher:
    """The newest second of this process and the sockets that watch it."""

    def __init__(self) -> None:
        self._report: SecondReport | None = None
        self._newest: State | None = None
        self._watchers: dict[Watcher, None] = {}
        self._recent: deque[dict[str, int]] = deque(maxlen=RECENT_SECONDS)
        self._messages: dict[tuple[int | None, View], Message] = {}
        self._telling: asyncio.Task[None] | None = None

    @property
    def sockets(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @property
    def newest(self) -> State | None:
        """The last report as what goes over the socket; made when first asked for. None before the first."""
        if self._newest is None and self._report is not None:
            self._newest = messages.state(self._report)
        return self._newest

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` after each second; returns the function that ends it."""
        self._watchers[watcher] = None
        return lambda: self._watchers.pop(watcher, None)

    def on_second(self, report: SecondReport) -> None:
        """Take a report, and tell the sockets."""
        self._report, self._newest, self._messages = report, None, {}
        counts = {name: second.requests for name, second in report.models.items() if second.requests}
        counts[""] = report.total.requests
        self._recent.append(counts)
        if self._watchers and (self._telling is None or self._telling.done()):
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    def message_after(self, sent: State | None, view: View) -> Message | None:
        """What brings a page that last got `sent` to the newest second; None where it is there already.

        Made when the first asks, and kept for all who see the same and stand at the same second (None: have nothing).
        """
        newest, stands_at = self.newest, None if sent is None else sent["sequence"]
        if newest is None or stands_at == newest["sequence"]:
            return None
        kept = self._messages.get((stands_at, view))
        if kept is None:
            kept = self._messages[stands_at, view] = frames.message(messages.encode(self._content(sent, newest, view)))
        return kept

    def _content(self, sent: State | None, newest: State, view: View) -> State:
        if sent is None:
            return messages.snapshot(views.seen(newest, view), self.recent(view))
        return messages.delta(views.seen(sent, view), views.seen(newest, view))

    def recent(self, view: View) -> dict[str, Any]:
        """Requests of each of the last seconds: {"total": [...], "models": {name: [...]}}; idle models are left out.

        Looks at the view's models only: while it looks, no inference is answered.
        """
        if view.models is None:
            names = {name for counts in self._recent for name in counts if name}
        else:
            names = {name for name in view.models if any(name in counts for counts in self._recent)}
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
                if watcher in self._watchers:  # it may have left since
                    watcher()


def slice_size(sockets: int) -> int:
    """How many sockets are told at a time, so that all are within SPREAD_S. Pure."""
    return max(AT_ONCE, math.ceil(sockets * SLICE_S / SPREAD_S))


publisher = Publisher()


def start() -> Callable[[], None]:
    """Begin to feed the sockets from this process's data plane; returns the function that ends it."""
    return gateway.subscribe(publisher.on_second)
