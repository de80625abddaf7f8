"""Work that would hold the event loop for long, done in one thread beside it: large JSON bodies, large JSON answers.

Place: the pipeline reads heavy bodies here, answering writes heavy answers; everything else stays on the loop, since a
hand-over costs 0.1 ms. One thread: the interpreter lock lets no second one help, and work is done in the order in which
it came.
Rules: `then` is called exactly once, on the loop, with Cancelled if the work was taken back before; work that waits is
bounded, more is refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

from proxy.core.errors import Cancelled, ExecutionFailed, ProxyError, Reason, Rejected
from proxy.core.units import BYTES_PER_MIB, NS_PER_S

log = logging.getLogger(__name__)

# Bodies or outputs of all work that waits. More would hold more memory and time for callers that hardly get an answer.
MAX_WAITING_BYTES = 256 * BYTES_PER_MIB

T = TypeVar("T")
Cancel = Callable[[], None]


class Offload:
    """The thread and what waits for it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="offload")
        self._waiting_bytes = 0

    def begin(
        self, work: Callable[[], T], size_bytes: int, then: Callable[[T | ProxyError], Cancel | None]
    ) -> Cancel | None:
        """Do `work` in the thread, then `then(its result or error)` on the loop. The result takes both back.

        `size_bytes` is what the work holds while it waits: a body, or outputs.
        """
        if self._waiting_bytes and self._waiting_bytes + size_bytes > MAX_WAITING_BYTES:
            message = "Too many large bodies are being read; come back later, or send binary data."
            return then(Rejected(Reason.QUEUE_FULL, message, NS_PER_S))
        self._waiting_bytes += size_bytes
        job = _Job(then)
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(partial(self._done, job, size_bytes))
        return job.cancel

    def close(self) -> None:
        """End the thread after what it is doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _done(self, job: _Job[Any], size_bytes: int, future: asyncio.Future[Any]) -> None:
        self._waiting_bytes -= size_bytes
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            job.finish(future.result())
        elif isinstance(error, ProxyError):
            job.finish(error)
        else:
            log.error("work beside the event loop failed", exc_info=error)
            job.finish(ExecutionFailed(Reason.INTERNAL, "The server failed; its log says why."))


class _Job(Generic[T]):
    """What follows a piece of work, once."""

    __slots__ = ("_cancel_next", "_is_finished", "_then")

    def __init__(self, then: Callable[[T | ProxyError], Cancel | None]) -> None:
        self._then = then
        self._is_finished = False
        self._cancel_next: Cancel | None = None

    def finish(self, result: T | ProxyError) -> None:
        if not self._is_finished:
            self._is_finished = True
            self._cancel_next = self._then(result)

    def cancel(self) -> None:
        if not self._is_finished:
            self.finish(Cancelled(Reason.CANCELLED, "The client has left."))
        elif self._cancel_next is not None:
            self._cancel_next()
