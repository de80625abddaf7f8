"""One instance: a worker process that executes one batch at a time for one version.

Rules: every batch given to `execute` is answered exactly once, later, on the loop, also when the process is lost; a
process that breaks a rule of its channel is killed, never listened to again.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable

from proxy.core.batches import Batch, BatchFault, BatchResult
from proxy.core.clock import Clock
from proxy.core.policies import ExecutionPolicy
from proxy.core.reports import InstanceReport
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_S, ns_to_ms
from proxy.core.words import say
from proxy.frames import messages
from proxy.frames.codec import MAX_FRAME_BYTES
from proxy.instances.configuration import configuration, ready_details
from proxy.instances.layout import GarbageAnswer, added_rows
from proxy.instances.link import Link
from proxy.instances.shared_memory import SHRINK_EVERY_NS, NoRoom
from proxy.instances.sizes import first_area_bytes, follows_threads
from proxy.instances.state import ENDED, LIVE, STAGES, TRANSITIONS, Event, InstanceState, advance
from proxy.instances.supervisor import PING_EVERY_NS, InstanceView, Kill, KillReason
from proxy.instances.transfer import make_room, put, take

logger = logging.getLogger(__name__)

OnDone = Callable[[Batch, BatchResult | BatchFault], None]

WORKER_MODULE = "proxy.worker"
EWMA_WEIGHT = 0.2
"""Share of the newest execution in the moving average: about the last ten count."""
_SEQUENCES = 0xFFFF_FFFF
_numbers = itertools.count(1)


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
        threads: int = 1,
    ) -> None:
        self.instance_id = f"{version.key}#{next(_numbers)}"
        self.version, self.state = version, InstanceState.STARTING
        self.message = self.device = ""
        self.sandbox: dict[str, str] = {}
        self.executions = self.outstanding = self._ready_bytes = 0
        self.service_ewma_ns = 0.0
        self.was_ready = self.loss_is_explained = False
        self.threads, self.load_time_ns = threads, 0
        self._policy, self._worker_module = policy, worker_module
        self._loop, self._clock, self._on_event = loop, clock, on_event
        self._batch: Batch | None = None
        self._on_done: OnDone | None = None
        self._busy_ns = self._sequence = self._sent_ns = self._input_ns = 0
        self.started_ns = self._state_since_ns = self.last_heard_ns = self._looked_ns = clock.now_ns()
        self._ping_since_ns = 0
        self._shrink_is_due = self._found_no_room = self._threads_are_due = False
        self._link = Link(loop, self._on_message, self._on_garbage, self._on_exit)

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._link.pid

    @property
    def idle(self) -> bool:
        """True if it can take a batch now."""
        return self.state is InstanceState.READY and not self.outstanding and not self._link.is_ending

    @property
    def busy_ns(self) -> int:
        """Time with an execution in flight since the start, the current one included."""
        return self._busy_ns + (self._clock.now_ns() - self._sent_ns if self._batch else 0)

    def printed(self) -> bytes:
        """What the process printed lately, as it came."""
        return self._link.log.copy()

    def view(self, *, with_memory: bool) -> InstanceView:
        """What the watchdog decides from."""
        resident, data = self._link.memory_now() if with_memory else (0, 0)
        # A device's driver reserves private memory that it does not use: there the resident part counts alone.
        held = max(resident, data) if self.device == "cpu" else resident
        executing_ns = self._sent_ns if self._batch else 0
        since_ns = (self._state_since_ns, self.started_ns, executing_ns, self._ping_since_ns)
        return InstanceView(self.state, *since_ns, resident, held, self._ready_bytes)

    def report(self) -> InstanceReport:
        """One row of the page."""
        return InstanceReport(
            instance_id=self.instance_id,
            model=self.version.model,
            version=self.version.number,
            pid=self.pid,
            state=str(self.state),
            device=self.device,
            uptime_s=(self._clock.now_ns() - self.started_ns) / NS_PER_S,
            memory_bytes=self._link.memory_bytes,
            executions=self.executions,
            service_ewma_ms=ns_to_ms(self.service_ewma_ns) if self.executions else None,
            message=str(self.message),
            load_time_ns=self.load_time_ns,
            threads=self.threads,
        )

    def start(self) -> None:
        """Start the process and send it its configuration. Raises OSError, ValueError (nothing is left behind)."""
        load = messages.Load(configuration(self.version, self._policy, self.threads).to_json())
        if len(load.config_json) > MAX_FRAME_BYTES // 2:
            raise ValueError("Its signature and options are too long for one message.")
        sizes = first_area_bytes(self.version.signature, max(self._policy.batch_rows, default=1))
        self._link.start(self._worker_module, self.threads, *sizes)
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
        timed_out, ran_out = verdict.reason is KillReason.EXECUTION_TIMEOUT, verdict.reason is KillReason.MEMORY
        self._lose(verdict.message, timed_out=timed_out, out_of_memory=ran_out)

    def set_threads(self, count: int) -> None:
        """Run with `count` threads from the next execution on, where its format can."""
        if count != self.threads and follows_threads(self.version.format):
            self.threads, self._threads_are_due = count, True

    def tend(self, now_ns: int) -> None:
        """Ask an idle instance for a sign of life if it has given none for a while; look at what memory it holds."""
        if now_ns - self._looked_ns >= SHRINK_EVERY_NS:
            self._looked_ns = now_ns
            self._link.measure_memory()
            self._shrink_is_due = True
        if self._shrink_is_due and self.idle:
            self._shrink()
        if self.idle and not self._ping_since_ns and now_ns - self.last_heard_ns >= PING_EVERY_NS:
            self._ping_since_ns = now_ns
            self._link.send(messages.Ping(self._sequence))

    def _shrink(self) -> None:
        """Between executions only: an instance that writes its answer must not have the area taken away."""
        self._shrink_is_due = False
        self._link.shrink_areas()

    def execute(self, batch: Batch, on_done: OnDone) -> None:
        """Run `batch`; `on_done(batch, result or fault)` is called exactly once, later, on the loop."""
        if not self.idle:
            raise RuntimeError(f"{self.instance_id} is not idle ({self.state}, {self.outstanding} outstanding)")
        self.outstanding = 1
        self._batch, self._on_done = batch, on_done
        self._sent_ns = self._clock.now_ns()
        self._found_no_room = False
        if self._shrink_is_due:
            self._shrink()
        if self._threads_are_due:
            self._threads_are_due = False
            self._link.send(messages.Threads(self.threads))
        try:
            entries = put(self._link, batch)
        except (NoRoom, OSError, MemoryError, ValueError) as error:
            fault = BatchFault(str(error), lost=False, no_room=not isinstance(error, ValueError))
            self._loop.call_soon(self._finish, fault)
            return
        if entries is None:
            return  # the process is gone; its exit answers the batch
        self._input_ns = self._clock.now_ns() - self._sent_ns
        self._sequence = self._sequence % _SEQUENCES + 1
        rows = batch.rows + added_rows(batch) if batch.padded_rows else batch.rows
        self._link.send(messages.Execute(self._sequence, rows, entries))

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
        outputs = take(self._link, self._expected(message.sequence), message.entries)
        now_ns = self._clock.now_ns()
        service_ns = now_ns - self._sent_ns
        self.service_ewma_ns += (EWMA_WEIGHT if self.executions else 1.0) * (service_ns - self.service_ewma_ns)
        if not self.executions:
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
                self._on_error(message)
            case messages.Need():
                self._on_need(message)
            case messages.Pong():
                self._ping_since_ns = 0
            case messages.Loading() if STAGES[message.stage] in TRANSITIONS[self.state]:
                self._advance(STAGES[message.stage])
                self._on_event(self, Event.STAGE)
            case messages.Ready() if InstanceState.READY in TRANSITIONS[self.state]:
                self._on_ready(message)
            case messages.Loading() | messages.Ready() if self.state is InstanceState.DRAINING:
                pass  # it was told to end while loading
            case _:
                raise GarbageAnswer(f"a {type(message).__name__} message in state {self.state}")

    def _on_error(self, message: messages.Error) -> None:
        self._expected(message.sequence)
        ran_out = message.code is messages.ErrorCode.OUT_OF_MEMORY
        self._finish(BatchFault(message.message, lost=False, out_of_memory=ran_out, no_room=self._found_no_room))

    def _on_need(self, message: messages.Need) -> None:
        self._expected(message.sequence)
        try:
            make_room(self._link, message.size_bytes)
        except (NoRoom, OSError, MemoryError) as error:
            self._found_no_room = True
            self._link.send(messages.Error(message.sequence, messages.ErrorCode.OUT_OF_MEMORY, str(error)))

    def _on_ready(self, message: messages.Ready) -> None:
        self.device, self.sandbox = ready_details(message.details_json)
        self.was_ready = True
        self.load_time_ns = self._clock.now_ns() - self.started_ns
        self._link.measure_memory()
        self._ready_bytes = self.view(with_memory=True).held_bytes
        self._advance(InstanceState.READY)
        self._on_event(self, Event.READY)

    def _on_garbage(self, words: str) -> None:
        logger.warning("instance %s broke the rules of its channel: %s", self.instance_id, words)
        self._lose(say("It sent something that no instance sends: %(words)s.", words=words))

    def _on_exit(self, words: str, from_outside: bool) -> None:
        if self.state is InstanceState.DRAINING and not self._batch:
            self._advance(InstanceState.STOPPED)
        else:
            self._lose(say("The process is gone: %(words)s.", words=words), from_outside=from_outside)
        self._on_event(self, Event.ENDED)

    def _lose(self, words: str, **why: bool) -> None:
        """Give the process up: kill it, answer the batch in flight with a fault, tell the group."""
        if self.state in ENDED:
            return
        was_live = self.state in LIVE
        self.message = words  # kept with its parts for the page; what leaves the process takes plain text only
        self._link.kill(str(words))
        self._advance(InstanceState.FAILED)
        fault = BatchFault(str(words), lost=True, **why)
        self._finish(fault)
        self.loss_is_explained = fault.is_explained
        if was_live:
            self._on_event(self, Event.LOST)

    def _advance(self, to: InstanceState) -> None:
        self.state = advance(self.state, to)
        self._state_since_ns = self._clock.now_ns()
