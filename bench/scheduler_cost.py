"""What the scheduler itself takes for a request, on the real clock: from submission to answer, instances at no cost.

`bench/simulate cost` prints it; the figures are this machine's.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from proxy.core.batches import Batch, BatchOutputs, BatchResult
from proxy.core.policies import ModelPolicy
from proxy.core.requests import InferenceRequest
from proxy.core.tensors import Tensor
from proxy.core.units import NS_PER_S
from proxy.scheduler.scheduler import Scheduler
from proxy.system import SystemClock
from proxy.testing.instances import fake_version

_TENSOR = Tensor("x", "FP32", (1, 2), b"12345678")


class _Instance:
    """Runs nothing: it is idle again, with an answer, when the loop comes round. Its own group, too."""

    instance_id = "cost/1#1"
    outstanding = 0
    failed = False

    def __init__(self) -> None:
        self.version = fake_version("cost")
        self.idle = True
        self._running: tuple[Batch, Callable[..., None]] | None = None

    def ready_instances(self) -> tuple[_Instance, ...]:
        """Itself."""
        return (self,)

    def execute(self, batch: Batch, on_done: Callable[..., None]) -> None:
        """Remember the batch."""
        self.idle = False
        self._running = batch, on_done

    def finish(self) -> bool:
        """Answer what runs; False if nothing does."""
        if self._running is None:
            return False
        (batch, on_done), self._running, self.idle = self._running, None, True
        on_done(batch, BatchResult(BatchOutputs((_TENSOR,), batch.rows, batched=True), 20_000, 100_000))
        return True


class _NoTimer:
    def cancel(self) -> None:
        """There is none."""


def cost_us(together: int, keys: int, priorities: int, repeats: int = 500) -> float:
    """µs a request, `together` of them in one turn of the loop, from so many keys in so many priorities.

    The fastest tenth of the repeats: what other processes of the machine take is not ours.
    """
    clock, instance, turn = SystemClock(), _Instance(), []  # type: ignore[var-annotated]
    scheduler = Scheduler(clock, lambda _delay_s, _function: _NoTimer(), call_soon=turn.append)
    scheduler.attach(instance.version.key, instance, ModelPolicy())

    def once() -> float:
        now_ns = clock.now_ns()
        requests = [
            InferenceRequest(
                instance.version,
                (_TENSOR,),
                1,
                now_ns,
                now_ns + 3_600 * NS_PER_S,
                principal_id=f"key:{index % keys}",
                priority=1 + index % priorities if priorities > 1 else 0,
            )
            for index in range(together)
        ]
        began_ns = time.perf_counter_ns()
        for request in requests:
            scheduler.submit(request, _ignore)
        while turn or instance.finish():
            due, turn[:] = list(turn), []
            for function in due:
                function()
        return (time.perf_counter_ns() - began_ns) / together / 1_000

    gc.disable()
    try:
        return statistics.quantiles([once() for _ in range(repeats)], n=10)[0]
    finally:
        gc.enable()


def _ignore(_request: InferenceRequest, _outcome: Any) -> None:
    """An answer that nobody waits for."""
