"""The worker's loop: read one message, do it, answer; blocked in the kernel between, one execution at a time."""

from __future__ import annotations

import gc
import mmap
import os
import socket
import sys
import time
from collections.abc import Sequence

from proxy.core.tensors import Signature
from proxy.frames.codec import MAX_FRAME_BYTES, decode, encode
from proxy.frames.messages import (
    Area,
    Entry,
    Error,
    ErrorCode,
    Execute,
    Message,
    Need,
    Ping,
    Pong,
    Region,
    Result,
    Stop,
    Threads,
)
from proxy.worker.backends.base import Array, Backend, BadOutput, is_out_of_memory, shortened
from proxy.worker.collate import check_outputs, place_outputs, read_inputs, write_outputs

_DESCRIPTORS = socket.CMSG_SPACE(4)


class ParentGone(Exception):
    """The channel is closed: nobody waits for answers any more."""


class Link:
    """The worker's end of the channel and its two shared areas."""

    def __init__(self, channel: socket.socket, request_fd: int, response_fd: int) -> None:
        self._channel = channel
        self.areas = {Area.REQUEST: _mapped(request_fd), Area.RESPONSE: _mapped(response_fd)}

    def receive(self) -> Message:
        """Wait for the next message; a Region is put in place before it is returned. Raises ParentGone."""
        try:
            packet, ancillary, _, _ = self._channel.recvmsg(MAX_FRAME_BYTES, _DESCRIPTORS)
        except OSError as error:
            raise ParentGone from error
        if not packet:
            raise ParentGone
        message = decode(packet)
        if isinstance(message, Region):
            _, _, descriptor = ancillary[0]
            self.areas[message.area] = _mapped(int.from_bytes(descriptor[:4], "little"))
        return message

    def send(self, message: Message) -> None:
        """Send one message. Raises ParentGone."""
        packet = encode(message)
        try:
            self._channel.sendall(packet)
        except OSError as error:
            raise ParentGone from error


class Server:
    """Answers executions with one backend until told to stop."""

    def __init__(
        self, link: Link, backend: Backend, signature: Signature, *, batchable: bool, max_response_bytes: int
    ) -> None:
        self._link = link
        self._backend = backend
        self._signature = signature
        self._batchable = batchable
        self._max_response_bytes = max_response_bytes

    def serve(self) -> None:
        """Run until Stop. Raises ParentGone."""
        link = self._link
        while True:
            message = link.receive()
            if isinstance(message, Execute):
                self._execute(message)
            elif isinstance(message, Ping):
                link.send(Pong(message.sequence))
            elif isinstance(message, Threads):
                set_threads(message.count)
            elif isinstance(message, Stop):
                return

    def _execute(self, message: Execute) -> None:
        clock_ns = time.perf_counter_ns
        ran_out = False
        try:
            given_ns = clock_ns()
            inputs = read_inputs(self._link.areas[Area.REQUEST], message.entries)
            started_ns = clock_ns()
            outputs = self._backend.run(inputs)
            ended_ns = clock_ns()
            check_outputs(outputs, self._signature, message.rows if self._batchable else None)
            entries = self._deliver(message.sequence, outputs)
            output_ns = clock_ns() - ended_ns
        except BadOutput as error:
            self._link.send(Error(message.sequence, ErrorCode.BAD_OUTPUT, str(error)))
        except ParentGone:
            raise
        except Exception as error:
            _exit_if_device_is_lost(error)
            ran_out = is_out_of_memory(error)
            code = ErrorCode.OUT_OF_MEMORY if ran_out else ErrorCode.MODEL_RAISED
            self._link.send(Error(message.sequence, code, shortened(error)))
        else:
            compute_ns, input_ns = ended_ns - started_ns, started_ns - given_ns
            self._link.send(Result(message.sequence, compute_ns, entries, input_ns, output_ns))
        if ran_out:
            release_memory()  # after the handler: until it ended, the error's frames held the tensors

    def _deliver(self, sequence: int, outputs: Sequence[Array]) -> tuple[Entry, ...]:
        """Copy outputs into the response area, asking for a larger one where they do not fit."""
        entries, size_bytes = place_outputs(outputs)
        if size_bytes > self._max_response_bytes:
            raise BadOutput(f"The outputs take {size_bytes} bytes; at most {self._max_response_bytes} are allowed.")
        if size_bytes > len(self._link.areas[Area.RESPONSE]):
            self._link.send(Need(sequence, size_bytes))
            answer = self._link.receive()
            if isinstance(answer, Error):
                raise MemoryError(answer.message)
            if not isinstance(answer, Region):
                raise ParentGone
        write_outputs(self._link.areas[Area.RESPONSE], outputs, entries)
        return entries


def set_threads(count: int) -> None:
    """Have torch's operators use `count` threads of this thread's pool from the next call on, where torch is loaded.

    Called by the thread that executes: OpenMP's number of threads belongs to the thread that asks.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(max(count, 1))


def release_memory() -> None:
    """Give back what an execution that ran out of memory left behind, so that a smaller one finds room."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _mapped(descriptor: int) -> mmap.mmap:
    area = mmap.mmap(descriptor, 0)
    os.close(descriptor)
    return area


# torch's words, and onnxruntime's.
_CUDA_FAULTS = ("CUDA error", "CUDA failure")


def _exit_if_device_is_lost(error: Exception) -> None:
    """A CUDA context that has faulted answers every later call with the same error: end, so that it is replaced.

    Without an answer: one that was answered would be given its next batch, innocent requests, while it ends (F8).
    """
    text = str(error)
    if any(words in text for words in _CUDA_FAULTS) and not is_out_of_memory(error):
        raise SystemExit(f"the CUDA context is unusable: {shortened(error, 300)}")
