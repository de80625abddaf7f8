"""Where snapshots come from: a function of the control plane, called in a thread, at each tick and when poked.

Rules: a failing source (database down: F13) changes nothing; the last snapshot holds and the failure is logged once
until it works again. A snapshot that could not be applied is asked for again at the next look, and ends nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from proxy.core.outage import Outage, in_words, trace_of
from proxy.core.snapshot import Snapshot

log = logging.getLogger(__name__)

LoadSnapshot = Callable[[int | None], Snapshot | None]


class Feed:
    """Asks `load(known_generation)` every `interval_s` seconds or sooner when `soon()` was called."""

    def __init__(self, load: LoadSnapshot, apply: Callable[[Snapshot], None], interval_s: float) -> None:
        self._load = load
        self._apply = apply
        self._interval_s = interval_s
        self._wanted_now = asyncio.Event()
        self._generation: int | None = None
        self._outage = Outage()

    def soon(self) -> None:
        """Look again now. Call on the event loop."""
        self._wanted_now.set()

    async def run(self) -> None:
        """Look for ever; cancel to end."""
        while True:
            self._wanted_now.clear()
            await self._look()
            try:
                async with asyncio.timeout(self._interval_s):
                    await self._wanted_now.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        try:
            snapshot = await asyncio.to_thread(self._load, self._generation)
            if snapshot is not None:
                self._apply(snapshot)
                self._generation = snapshot.generation
        except Exception as error:
            if self._outage.failed(error):
                words = "the wanted state cannot be read or applied; serving goes on with what there is: %s"
                log.error(words, in_words(error), exc_info=trace_of(error))  # noqa: TRY400  a trace only where it helps
            return
        if self._outage.worked():
            log.info("the wanted state is followed again")
