"""Feeds the live sockets: each second's report becomes one text, encoded once and sent to the group.

Place: the site's ASGI application calls `start()` once the data plane runs; consumers read `newest()`.
Rules: runs on the event loop; with no socket open nothing is encoded; a slow channel layer skips seconds instead of
queueing them (sockets then get the newest state, W7). The group's name is made here and differs by process, since a
socket shows the data plane of the process that it is connected to (W2).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer

from models_admin.live import messages
from models_admin.live.messages import State
from proxy import gateway
from proxy.core.outage import Outage, in_words, trace_of
from proxy.core.reports import SecondReport

log = logging.getLogger(__name__)

GROUP = f"live.{uuid.uuid4().hex}"
# Two minutes of requests per second, for the sparklines of a page just opened.
RECENT_SECONDS = 120


class Publisher:
    """The newest second of this process and the sockets that watch it."""

    def __init__(self) -> None:
        self.newest: State | None = None
        self.sockets = 0
        self._recent: deque[dict[str, int]] = deque(maxlen=RECENT_SECONDS)
        self._sending: asyncio.Task[None] | None = None

    def on_second(self, report: SecondReport) -> asyncio.Task[None] | None:
        """Take a report; returns the task that sends it, or None where nobody watches or the layer is still busy."""
        old, self.newest = self.newest, messages.state(report)
        counts = {name: second.requests for name, second in report.models.items() if second.requests}
        counts[""] = report.total.requests
        self._recent.append(counts)
        if not self.sockets or (self._sending is not None and not self._sending.done()):
            return None
        text = messages.encode(messages.delta(old, self.newest)) if old is not None else None
        event = {
            "type": "live.second",
            "sequence": report.sequence,
            "previous": None if old is None else old["sequence"],
            "text": text,
        }
        self._sending = asyncio.get_running_loop().create_task(_send(event))
        return self._sending

    def recent(self) -> dict[str, Any]:
        """Requests of each of the last seconds: {"total": [...], "models": {name: [...]}}; idle models are left out."""
        names = {name for counts in self._recent for name in counts if name}
        return {
            "total": [counts.get("", 0) for counts in self._recent],
            "models": {name: [counts.get(name, 0) for counts in self._recent] for name in sorted(names)},
        }


publisher = Publisher()
_layer = Outage()


def start() -> Callable[[], None]:
    """Begin to feed the sockets from this process's data plane; returns the function that ends it."""
    return gateway.subscribe(publisher.on_second)


async def _send(event: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(GROUP, event)
    except Exception as error:  # the layer may be a network service: pages go stale and say so, serving goes on
        if _layer.failed(error):
            words = "live figures cannot be sent to the channel layer: %s"
            log.error(words, in_words(error), exc_info=trace_of(error))  # noqa: TRY400  a trace only where it helps
    else:
        if _layer.worked():
            log.info("live figures reach the channel layer again")
