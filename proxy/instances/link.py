"""Everything of one instance that the kernel holds: process, channel, two areas, the pipe with its output.

Rules: `on_message` and `on_garbage` come from the loop; `on_exit` is called exactly once, after every message that the
process sent has been handed over and all descriptors and memory are given back.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from proxy.frames.codec import MalformedFrame
from proxy.frames.launch import describe_exit
from proxy.frames.messages import Area, Message, Region
from proxy.instances import process as processes
from proxy.instances.channel import Channel, ChannelClosed
from proxy.instances.layout import GarbageAnswer
from proxy.instances.log import LogTail
from proxy.instances.shared_memory import (
    SMALLEST_AREA_BYTES,
    NoRoom,
    SharedArea,
    SharedMemoryBound,
    area_size,
    process_bound,
)

LOG_PAUSE_S = 0.1
"""Pause between two reads of an instance's output; at 64 KiB each, a chatty model costs the loop at most 640 KiB/s.
What it prints faster than that it drops itself."""
ENDING_S = 0.25
"""How long a process may live on that has closed its channel. Shorter: killed while it ends, and why it ended is lost;
longer: its batch waits for that."""
_LOG_READ_BYTES = 65_536
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Link:
    """See the module. Everything runs on the event loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_message: Callable[[Message], None],
        on_garbage: Callable[[str], None],
        on_exit: Callable[[str, bool], None],
        bound: SharedMemoryBound | None = None,
    ) -> None:
        self.log = LogTail()
        self.is_ending = False  # its channel is closed: nothing that is given to it is answered
        self._loop = loop
        self._on_message = on_message
        self._on_garbage = on_garbage
        self._on_exit = on_exit
        self._bound = bound or process_bound()
        self._memory_bytes = 0
        self._is_measuring = False
        self._kill_reason = ""
        self._process: processes.WorkerProcess | None = None
        self._channel: Channel | None = None
        self._channel_is_open = False
        self._areas: dict[Area, SharedArea] = {}
        self._log_timer: asyncio.TimerHandle | None = None
        self._end_timer: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Process id while there is a process."""
        return self._process.pid if self._process else None

    def resident_bytes(self) -> int:
        """Memory of the process now, as the kernel counts it; 0 if there is none."""
        return self.memory_now()[0]

    def memory_now(self) -> tuple[int, int]:
        """Resident bytes of the process, and the private ones that its limit counts (RLIMIT_DATA); 0 if none."""
        if self._process is None:
            return 0, 0
        try:
            with open(f"/proc/{self._process.pid}/statm", encoding="ascii") as statm:  # noqa: PTH123  read each second
                pages = statm.read().split()
            return int(pages[1]) * _PAGE_BYTES, int(pages[5]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0, 0  # it has just ended; its exit is on the way

    @property
    def memory_bytes(self) -> int:
        """Memory of the process with its part of what processes share, as last measured; else `resident_bytes`."""
        return self._memory_bytes or self.resident_bytes()

    def measure_memory(self) -> None:
        """Measure `memory_bytes` beside the loop: the kernel walks every page of the process, which takes ms."""
        process = self._process
        if process is None or self._is_measuring:
            return
        self._is_measuring = True
        measured = self._loop.run_in_executor(None, proportional_bytes, process.pid)
        measured.add_done_callback(self._on_measured)

    def _on_measured(self, measured: asyncio.Future[int]) -> None:
        self._is_measuring = False
        if not measured.cancelled() and self._process is not None:
            self._memory_bytes = measured.result()

    def area(self, which: Area) -> SharedArea:
        """One of the two areas, while the process lives."""
        return self._areas[which]

    def start(
        self,
        module: str,
        threads: int,
        request_bytes: int = SMALLEST_AREA_BYTES,
        response_bytes: int = SMALLEST_AREA_BYTES,
    ) -> None:
        """Start the process with areas of these sizes. Raises OSError, MemoryError (nothing is left behind)."""
        request, request_fd = self._create_area(request_bytes)
        self._areas[Area.REQUEST] = request
        try:
            response, response_fd = self._create_area(response_bytes)
            self._areas[Area.RESPONSE] = response
            try:
                self._process, self._channel = processes.start(module, request_fd, response_fd, threads)
            finally:
                os.close(response_fd)
        except BaseException:
            self._close_areas()
            raise
        finally:
            os.close(request_fd)
        self._channel_is_open = True
        self._loop.add_reader(self._channel.fileno(), self._readable)
        self._loop.add_reader(self._process.pidfd, self._exited)
        self._loop.add_reader(self._process.log_fd, self._log_readable)

    def send(self, message: Message) -> None:
        """Send one message. If it cannot be sent the process is killed, and `on_exit` follows."""
        if self._channel is None:
            return
        try:
            self._channel.send(message)
        except ChannelClosed as error:
            self._end_soon(f"its channel was lost ({error})")

    def replace_area(self, which: Area, least_bytes: int) -> bool:
        """Give the process another area; False if it is gone (and `on_exit` follows).

        Raises NoRoom, OSError (no memory, no descriptor) and ValueError (too large); then it has its old one.
        """
        old = self._areas.get(which)
        if self._channel is None or old is None:
            return False
        fresh, descriptor = SharedArea.create(least_bytes, self._bound, old.smallest_bytes)
        try:
            self._channel.send_descriptor(Region(which, fresh.size_bytes), descriptor)
        except ChannelClosed as error:
            fresh.close()
            self._end_soon(f"its channel was lost ({error})")
            return False
        finally:
            os.close(descriptor)
        old.close()
        self._areas[which] = fresh
        return True

    def shrink_areas(self) -> None:
        """Replace areas that are larger than the batches since the last look needed. Only between executions."""
        for which, area in tuple(self._areas.items()):
            wanted_bytes = area.look()
            if wanted_bytes < area.size_bytes:
                try:
                    self.replace_area(which, wanted_bytes)
                except (NoRoom, OSError):
                    return  # no descriptor left, or no memory for the smaller one beside the larger: at the next look

    def _create_area(self, least_bytes: int) -> tuple[SharedArea, int]:
        return SharedArea.create(least_bytes, self._bound, area_size(least_bytes))

    def kill(self, reason: str) -> None:
        """End the process at once; `on_exit` follows with `reason`."""
        if self._process is not None:
            self._kill_reason = self._kill_reason or reason
            self._process.kill()

    def _readable(self) -> None:
        """Take one message; the loop comes back if there are more."""
        if not self._channel_is_open:
            return
        try:
            self._take_message()
        except ChannelClosed:
            self._stop_listening()
            self._end_soon("it closed its channel")

    def _end_soon(self, reason: str) -> None:
        """Its end is closed, so it is ending, and its status says why; if it lives on for a moment, it must not."""
        self.is_ending = True
        if self._end_timer is None:
            self._end_timer = self._loop.call_later(ENDING_S, self.kill, reason)

    def _take_message(self) -> bool:
        if self._channel is None:
            return False
        try:
            message = self._channel.receive()
            if message is not None:
                self._on_message(message)
        except (MalformedFrame, GarbageAnswer) as error:
            self._stop_listening()
            self._on_garbage(str(error))
            return False
        return message is not None

    def _stop_listening(self) -> None:
        if self._channel_is_open and self._channel is not None:
            self._channel_is_open = False
            self._loop.remove_reader(self._channel.fileno())

    def _exited(self) -> None:
        if self._process is None:
            return
        status = self._process.exit_status()
        if status is None:
            return
        try:
            while self._channel_is_open and self._take_message():
                pass
        except ChannelClosed:
            pass  # all it ever sent has been read
        words = self._kill_reason or describe_exit(status)
        from_outside = not self._kill_reason and status == -signal.SIGKILL
        self._release()
        self._on_exit(words, from_outside)

    def _log_readable(self) -> None:
        if self._process is None:
            return
        self._loop.remove_reader(self._process.log_fd)
        if self._read_log():
            self._log_timer = self._loop.call_later(LOG_PAUSE_S, self._watch_log)

    def _watch_log(self) -> None:
        self._log_timer = None
        if self._process is not None:
            self._loop.add_reader(self._process.log_fd, self._log_readable)

    def _read_log(self) -> bool:
        """Read what is there; False at the end."""
        if self._process is None:
            return False
        try:
            data = os.read(self._process.log_fd, _LOG_READ_BYTES)
        except BlockingIOError:
            return True
        self.log.append(data)
        return bool(data)

    def _release(self) -> None:
        """Give back every descriptor and mapping."""
        process, channel = self._process, self._channel
        if process is None or channel is None:
            return
        self._read_log()
        for timer in (self._log_timer, self._end_timer):
            if timer is not None:
                timer.cancel()
        self._stop_listening()
        self._loop.remove_reader(process.log_fd)
        self._loop.remove_reader(process.pidfd)
        channel.close()
        os.close(process.log_fd)
        os.close(process.pidfd)
        self._process = self._channel = None
        self._close_areas()

    def _close_areas(self) -> None:
        for area in self._areas.values():
            area.close()
        self._areas = {}


def proportional_bytes(pid: int) -> int:
    """Memory of a process: its own pages and its part of those that it shares; 0 where the kernel does not say."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:  # noqa: PTH123  read every few seconds
            return next((int(line.split()[1]) * 1_024 for line in rollup if line.startswith("Pss:")), 0)
    except (OSError, ValueError):
        return 0  # it has just ended, or belongs to another user
