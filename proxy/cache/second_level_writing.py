"""Answers and purges on their way to the shared cache: queued within bounds, dropped beyond them, never waited for.

Place: behind proxy.cache.second_level, which reads. Rules: one task at a time writes; a purge goes before every answer;
answers that Redis does not take are lost, purges are tried again each time the keeper comes by.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from proxy.cache import second_level_codec as codec
from proxy.cache.breaker import Breaker, BreakerState
from proxy.cache.second_level_model import SharedModel
from proxy.core.batches import BatchOutputs
from proxy.core.outage import Outage, in_words

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger(__name__)

FAILURES = (RedisError, OSError, TimeoutError, ValueError, TypeError, LookupError, RecursionError)
"""What says that Redis cannot be used now; the last four are how its client meets an answer that is none."""
# Patience with what no request waits for.
PATIENCE_S = 1.0
# Answers sent in one go.
MOST_TOGETHER = 64
# Largest answer that is shared: sealing costs about 1 ms a MiB on the event loop.
LARGEST_ENTRY_BYTES = 1_048_576
# Waiting to be written, at most. Larger: bursts are shared as a whole, more memory is held by a slow Redis.
MOST_WRITES = 256
MOST_WRITE_BYTES = 16 * 1_048_576


@dataclass(frozen=True, slots=True)
class Write:
    """An answer to be left under `name`. `purges`: of its model when it was queued; a later one takes it, too."""

    model: SharedModel
    name: bytes
    outputs: BatchOutputs
    saved_ns: int
    stored_unix_ms: int
    purges: int


class Writing:
    """The queue and the task that empties it."""

    def __init__(
        self, client: Redis, secret: bytes, breaker: Breaker, models: Callable[[], Iterable[SharedModel]]
    ) -> None:
        self._client, self._secret, self._breaker, self._models = client, secret, breaker, models
        self._outage = Outage()
        self._queue: deque[Write] = deque()
        self._queued_bytes = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, write: Write) -> None:
        """Queue an answer if it is small enough and there is room."""
        size_bytes = write.outputs.size_bytes
        is_full = len(self._queue) >= MOST_WRITES or self._queued_bytes + size_bytes > MOST_WRITE_BYTES
        if is_full or size_bytes > LARGEST_ENTRY_BYTES or self._breaker.state is not BreakerState.CLOSED:
            return
        self._queue.append(write)
        self._queued_bytes += size_bytes
        self.go_on()

    def go_on(self) -> None:
        """Write what there is, unless that is being done."""
        if self._task is None and self._is_due():
            self._task = asyncio.get_running_loop().create_task(self._write())

    async def stop(self) -> None:
        """Drop what is queued."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _is_due(self) -> bool:
        is_usable = self._breaker.state is BreakerState.CLOSED
        return is_usable and (bool(self._queue) or any(model.must_purge for model in self._models()))

    async def _write(self) -> None:
        try:
            while self._is_due():
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_TOGETHER))]
                self._queued_bytes -= sum(write.outputs.size_bytes for write in batch)
                try:
                    async with asyncio.timeout(PATIENCE_S):
                        await self._give_epochs({write.model for write in batch})
                        await self._send(batch)
                except FAILURES as error:
                    self._failed(error)
                    return  # the keeper, or the next answer, tries again
                self._worked()
        finally:
            self._task = None

    def _failed(self, error: Exception) -> None:
        """Only said: that Redis takes nothing is no reason not to read; the reader finds out whether it is away."""
        if self._outage.failed(error):
            log.warning("answers cannot be left in the shared cache: %s", in_words(error))

    def _worked(self) -> None:
        if self._outage.worked():
            log.info("answers are left in the shared cache again")

    async def _give_epochs(self, writing: set[SharedModel]) -> None:
        """Another epoch for those to be purged, one at all for those to be written that have none."""
        for model in [model for model in self._models() if model.must_purge]:
            purges = model.purges
            await self._client.set(model.epoch_name, secrets.token_bytes(codec.EPOCH_BYTES))
            model.must_purge = model.purges != purges
        for model in writing:
            if model.epoch is None:
                await self._client.set(model.epoch_name, secrets.token_bytes(codec.EPOCH_BYTES), nx=True)
                epoch = await self._client.get(model.epoch_name)
                model.epoch = epoch if isinstance(epoch, bytes) else None

    async def _send(self, batch: list[Write]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        sent = [one for one in batch if one.purges == one.model.purges and _is_epoch(one.model.epoch)]
        for write in sent:
            stored = codec.StoredAnswer(write.outputs, write.stored_unix_ms, write.saved_ns, write.model.epoch or b"")
            value = codec.encode(self._secret, write.name, stored)
            pipeline.set(write.name, value, px=write.model.kept_ms)
        if sent:
            await pipeline.execute()
        for write in sent:
            write.model.writes += 1


def _is_epoch(epoch: bytes | None) -> bool:
    """A stranger may have put anything there."""
    return epoch is not None and len(epoch) == codec.EPOCH_BYTES
