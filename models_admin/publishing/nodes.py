"""Which web nodes write into one database: each page shows the node that answers it, and says so beside others.

Rules: a node is a host and the port of its dashboard, so that one that was started again is the same; another counts
once it was seen OFTEN times within RECENT_S, since the row that a node left when it moved elsewhere is seen once.
"""

from __future__ import annotations

import functools
import socket
import threading
from collections import deque

from django.conf import settings

RECENT_S = 30.0
"""How long a node that is heard of no more is still told of. Larger: one that has ended is told of for longer."""
OFTEN = 3


@functools.cache
def own_node() -> str:
    """This one."""
    return f"{socket.gethostname()}:{settings.DLPROXY_PORT}"


class Beside:
    """The nodes whose heartbeats stood where this one's go. Heard in the thread that writes, asked by pages."""

    def __init__(self) -> None:
        self._heard: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def hear(self, node: str, now_s: float) -> None:
        """A heartbeat of another node."""
        with self._lock:
            self._heard.setdefault(node, deque(maxlen=OFTEN)).append(now_s)

    def names(self, now_s: float) -> list[str]:
        """Those that serve beside this one."""
        with self._lock:
            self._heard = {node: times for node, times in self._heard.items() if now_s - times[-1] <= RECENT_S}
            return sorted(
                node for node, times in self._heard.items() if len(times) == OFTEN and _is_recent(times, now_s)
            )


def _is_recent(times: deque[float], now_s: float) -> bool:
    return now_s - times[0] <= RECENT_S


beside = Beside()
