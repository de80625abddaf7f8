"""One instance: a worker process that executes one batch at a time for one version.

Rules: every batch given to `execute` is answered exactly once, later, on the loop, also when the process is lost; a
process that breaks a rule of its channel is killed, never listened to again.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable
from enum import Enum, auto

from proxy.core.batches import Batch, BatchFault, BatchResult
from proxy.core.clock import Clock
from proxy.core.policies import ExecutionPolicy
from proxy.core.reports import InstanceReport
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_S, ns_to_ms
from proxy.frames import messages
from proxy.frames.codec import MAX_FRAME_BYTES
from proxy.frames.config import InstanceConfig
from proxy.instances.layout import GarbageAnswer, fill, lay_out, take_outputs
from proxy.instances.link import Link
from proxy.instances.shared_memory import LARGEST_AREA_BYTES
from proxy.instances.state import ENDED, LIVE, InstanceState, advance
from proxy.instances.supervisor import PING_EVERY_NS, InstanceView, Kill, KillReason

logger = logging.getLogger(__name__)

OnDone = Callable[[Batch, BatchResult | BatchFault], None]

WORKER_MODULE = "proxy.worker"
EWMA_WEIGHT = 0.2
"""Share of the newest execution in the moving average: about the last ten count."""
_SEQUENCES = 0xFFFF_FFFF
_numbers = itertools.count(1)


class Event(Enum):
    """What an instance tells its group. LOST: unplanned; ENDED: the process is gone and everything given back."""

    READY = auto()
    FIRST_EXECUTION = auto()
    LOST = auto()
    ENDED = auto()


class Instance:
    """See the module. Made by its group; everything runs on the event loop's thread."""

    def __init__(
        self,
        version: VersionSnapshot,
        policy: ExecutionPolicy,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        on_event: Callable[[Instance, Event], None],
        worker_module: str = WORKER_MODULE,
    ) -> None:
        self.instance_id = f"{version.key}#{next(_numbers)}"
        self.version = version
        self.state = InstanceState.STARTING
        self.message = ""
        self.device = ""
        self.sandbox: dict[str, str] = {}
        self.executions = 0
        self.outstanding = 0
        self.service_ewma_ns = 0.0
        self.was_ready = False
        self._policy = policy
        self._worker_module = worker_module
        self._loop = loop
        self._clock = clock
        self._on_event = on_event
        self._busy_ns = 0
        self._sequence = 0
        self._batch: Batch | None = None
        self._on_done: OnDone | None = None
        self._sent_ns = self._input_ns = 0
        self._started_ns = self._state_since_ns = self.last_heard_ns = clock.now_ns()
        self._ping_since_ns = 0
        self._link = Link(loop, self._on_message, self._on_garbage, self._on_exit)

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._link.pid

    @property
    def idle(self) -> bool:
        """True if it can take a batch now."""
        return self.state is InstanceState.READY and not self.outstanding

    @property
    def busy_ns(self) -> int:
        """Time with an execution in flight since the start, the current one included."""
        return self._busy_ns + (self._clock.now_ns() - self._sent_ns if self._batch else 0)

    def log_tail(self, lines: int = 50) -> str:
        """Return the last lines that the process printed."""
        return self._link.log.tail(lines)

    def view(self, *, with_memory: bool) -> InstanceView:
        """What the watchdog decides from."""
        return InstanceView(
            self.state,
            self._state_since_ns,
            self._started_ns,
            self._sent_ns if self._batch else 0,
            self._ping_since_ns,
            self._link.resident_bytes() if with_memory else 0,
        )

    def report(self) -> InstanceReport:
        """One row of the page."""
        return InstanceReport(
            instance_id=self.instance_id,
            model=self.version.model,
            version=self.version.number,
            pid=self.pid,
            state=str(self.state),
            device=self.device,
            uptime_s=(self._clock.now_ns() - self._started_ns) / NS_PER_S,
            memory_bytes=self._link.resident_bytes(),
            executions=self.executions,
            service_ewma_ms=ns_to_ms(self.service_ewma_ns) if self.executions else None,
            message=self.message,
        )

    def start(self) -> None:
        """Start the process and send it its configuration. Raises OSError, ValueError (nothing is left behind)."""
        load = messages.Load(_config(self.version, self._policy).to_json())
        if len(load.config_json) > MAX_FRAME_BYTES // 2:
            raise ValueError("Its signature and options are too long for one message.")
        self._link.start(self._worker_module, self._policy.threads)
        self._link.send(load)

    def drain(self) -> None:
        """Take no new batch; end after the current one."""
        if self.state not in LIVE:
            return
        was_ready = self.state is InstanceState.READY
        self._advance(InstanceState.DRAINING)
        if not was_ready:
            self._link.kill("it was no longer wanted")  # busy loading, it would not read a message for a while
        elif not self.outstanding:
            self._link.send(messages.Stop())

    def kill(self, verdict: Kill) -> None:
        """End the process at once; a batch in flight is answered with a fault."""
        self._lose(verdict.message, timed_out=verdict.reason is KillReason.EXECUTION_TIMEOUT)

    def ping_if_silent(self, now_ns: int) -> None:
        """Ask an idle instance for a sign of life if it has given none for a while."""
        if self.idle and not self._ping_since_ns and now_ns - self.last_heard_ns >= PING_EVERY_NS:
            self._ping_since_ns = now_ns
            self._link.send(messages.Ping(self._sequence))

    def execute(self, batch: Batch, on_done: OnDone) -> None:
        """Run `batch`; `on_done(batch, result or fault)` is called exactly once, later, on the loop."""
        if not self.idle:
            raise RuntimeError(f"{self.instance_id} is not idle ({self.state}, {self.outstanding} outstanding)")
        self.outstanding = 1
        self._batch, self._on_done = batch, on_done
        self._sent_ns = self._clock.now_ns()
        link = self._link
        try:
            entries, size_bytes = lay_out(batch)
            if size_bytes > link.area(messages.Area.REQUEST).size_bytes:
                link.replace_area(messages.Area.REQUEST, size_bytes)
            fill(link.area(messages.Area.REQUEST).memory, batch, entries)
            self._input_ns = self._clock.now_ns() - self._sent_ns
        except (ValueError, OSError, MemoryError) as error:
            self._loop.call_soon(self._finish, BatchFault(str(error), lost=False))
            return
        self._sequence = self._sequence % _SEQUENCES + 1
        link.send(messages.Execute(self._sequence, batch.rows, entries))

    def _finish(self, outcome: BatchResult | BatchFault) -> None:
        """Answer the batch in flight; the instance is free for the next before the answer is given."""
        batch, on_done = self._batch, self._on_done
        if batch is None or on_done is None:
            return
        self._busy_ns += self._clock.now_ns() - self._sent_ns
        self._batch = self._on_done = None
        self.outstanding = 0
        if self.state is InstanceState.DRAINING:
            self._state_since_ns = self._clock.now_ns()
            self._link.send(messages.Stop())
        on_done(batch, outcome)

    def _on_result(self, message: messages.Result) -> None:
        area = self._link.area(messages.Area.RESPONSE)
        outputs = take_outputs(self._expected(message.sequence), area.memory, area.size_bytes, message.entries)
        now_ns = self._clock.now_ns()
        service_ns = now_ns - self._sent_ns
        if self.executions:
            self.service_ewma_ns += EWMA_WEIGHT * (service_ns - self.service_ewma_ns)
        else:
            self.service_ewma_ns = float(service_ns)
            self._on_event(self, Event.FIRST_EXECUTION)
        self.executions += 1
        input_ns, output_ns = self._input_ns + message.input_ns, now_ns - self.last_heard_ns + message.output_ns
        self._finish(BatchResult(outputs, message.compute_ns, service_ns, input_ns, output_ns))

    def _expected(self, sequence: int) -> Batch:
        if self._batch is None or sequence != self._sequence:
            raise GarbageAnswer(f"an answer to execution {sequence}, which is not in flight")
        return self._batch

    def _on_message(self, message: messages.Message) -> None:
        if self.state in ENDED:
            return
        self.last_heard_ns = self._clock.now_ns()
        match message:
            case messages.Result():
                self._on_result(message)
            case messages.Error() if message.code is messages.ErrorCode.LOAD_FAILED and not self.was_ready:
                self._lose(message.message)
            case messages.Error() if message.code is not messages.ErrorCode.LOAD_FAILED:
                self._expected(message.sequence)
                self._finish(BatchFault(message.message, lost=False))
            case messages.Need():
                self._on_need(message)
            case messages.Pong():
                self._ping_since_ns = 0
            case messages.Loading() if self.state is InstanceState.STARTING:
                self._advance(InstanceState.LOADING)
            case messages.Ready() if self.state is InstanceState.LOADING:
                self._on_ready(message)
            case messages.Loading() | messages.Ready() if self.state is InstanceState.DRAINING:
                pass  # it was told to end while loading
            case _:
                raise GarbageAnswer(f"a {type(message).__name__} message in state {self.state}")

    def _on_need(self, message: messages.Need) -> None:
        self._expected(message.sequence)
        if not self._link.area(messages.Area.RESPONSE).size_bytes < message.size_bytes <= LARGEST_AREA_BYTES:
            raise GarbageAnswer(f"it asks for a response area of {message.size_bytes} bytes")
        try:
            self._link.replace_area(messages.Area.RESPONSE, message.size_bytes)
        except (OSError, MemoryError) as error:
            self._lose(f"There is no memory for its outputs: {error}.")

    def _on_ready(self, message: messages.Ready) -> None:
        try:
            details = json.loads(message.details_json)
            self.device = str(details["device"])[:64]
            self.sandbox = {str(name)[:64]: str(text)[:200] for name, text in details["sandbox"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GarbageAnswer("an unreadable ready message") from error
        self.was_ready = True
        self._advance(InstanceState.READY)
        self._on_event(self, Event.READY)

    def _on_garbage(self, words: str) -> None:
        logger.warning("instance %s broke the rules of its channel: %s", self.instance_id, words)
        self._lose(f"It sent something that no instance sends: {words}.")

    def _on_exit(self, words: str) -> None:
        if self.state is InstanceState.DRAINING and not self._batch:
            self._advance(InstanceState.STOPPED)
        else:
            self._lose(f"The process ended: {words}.")
        self._on_event(self, Event.ENDED)

    def _lose(self, words: str, *, timed_out: bool = False) -> None:
        """Give the process up: kill it, answer the batch in flight with a fault, tell the group."""
        if self.state in ENDED:
            return
        was_live = self.state in LIVE
        self.message = words
        self._link.kill(words)
        self._advance(InstanceState.FAILED)
        self._finish(BatchFault(words, lost=True, timed_out=timed_out))
        if was_live:
            self._on_event(self, Event.LOST)

    def _advance(self, to: InstanceState) -> None:
        self.state = advance(self.state, to)
        self._state_since_ns = self._clock.now_ns()


def _config(version: VersionSnapshot, policy: ExecutionPolicy) -> InstanceConfig:
    return InstanceConfig(
        version.artifact_path,
        version.format,
        version.signature,
        version.digest,
        version.options,
        batchable=version.batchable,
        stateful=version.stateful,
        threads=policy.threads,
        memory_limit_bytes=policy.memory_limit_bytes,
        max_response_bytes=LARGEST_AREA_BYTES,
    )
