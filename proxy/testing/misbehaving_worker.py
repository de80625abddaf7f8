"""`python -m proxy.testing.misbehaving_worker`: a process that breaks the channel's rules in the way its options say.

Place: tests start it instead of `proxy.worker` (`InstanceGroup(worker_module=...)`). It stands for a worker whose
native code was taken over by a hostile model.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

from proxy.frames.codec import MAX_FRAME_BYTES, decode, encode
from proxy.frames.messages import Entry, Error, ErrorCode, Execute, Load, Loading, Need, Ping, Pong, Ready, Result

_FP32, _FP64 = 11, 12
_ROW_BYTES = 16
GOOD = Entry(_FP32, 0, _ROW_BYTES, (1, 4))


def _answer(*entries: Entry) -> Callable[[socket.socket, Execute, int], None]:
    return lambda channel, message, fd: channel.sendall(encode(Result(message.sequence, 1, entries)))


def _random_bytes(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(os.urandom(64))


def _longest(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(bytes(MAX_FRAME_BYTES + 100))


def _empty(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.send(b"")


def _flood(channel: socket.socket, message: Execute, fd: int) -> None:
    while True:
        channel.sendall(bytes(60_000))


def _other_sequence(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(encode(Result(message.sequence + 1, 1, (GOOD,))))


def _twice(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(encode(Result(message.sequence, 1, (GOOD,))))
    channel.sendall(encode(Result(message.sequence, 1, (GOOD,))))


def _needs_too_much(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(encode(Need(message.sequence, 10 * 2**30)))


def _needs_nothing(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(encode(Need(message.sequence, 1)))


def _load_error_late(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(encode(Error(0, ErrorCode.LOAD_FAILED, "late")))


def _passes_descriptors(channel: socket.socket, message: Execute, fd: int) -> None:
    socket.send_fds(channel, [encode(Result(message.sequence, 1, (GOOD,)))], [0] * 50)


def _shrinks_area(channel: socket.socket, message: Execute, fd: int) -> None:
    try:
        os.ftruncate(fd, 0)
        words = "shrunk"
    except OSError as error:
        words = f"refused: {error.strerror}"
    channel.sendall(encode(Error(message.sequence, ErrorCode.MODEL_RAISED, words)))


def _closes_channel(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.close()
    signal.pause()


def _exits(channel: socket.socket, message: Execute, fd: int) -> None:
    os._exit(7)


def _answers_and_exits(channel: socket.socket, message: Execute, fd: int) -> None:
    channel.sendall(encode(Result(message.sequence, 1, (GOOD,))))
    os._exit(0)


def _sleeps(channel: socket.socket, message: Execute, fd: int) -> None:
    while True:
        time.sleep(3_600)


def _holds_the_lock(channel: socket.socket, message: Execute, fd: int) -> None:
    """Stay in a C function without giving the interpreter lock back: no Python thread of this process runs again."""
    ctypes.PyDLL(None).sleep(3_600)


def _crashes(channel: socket.socket, message: Execute, fd: int) -> None:
    ctypes.string_at(0)


BEHAVIOURS: dict[str, Callable[[socket.socket, Execute, int], None]] = {
    "random bytes": _random_bytes,
    "a packet over the limit": _longest,
    "an empty packet": _empty,
    "a flood": _flood,
    "another sequence": _other_sequence,
    "two answers": _twice,
    "no outputs": _answer(),
    "too many outputs": _answer(GOOD, GOOD),
    "another datatype": _answer(Entry(_FP64, 0, 2 * _ROW_BYTES, (1, 4))),
    "an unknown datatype": _answer(Entry(99, 0, _ROW_BYTES, (1, 4))),
    "another shape": _answer(Entry(_FP32, 0, 2 * _ROW_BYTES, (1, 8))),
    "another rank": _answer(Entry(_FP32, 0, _ROW_BYTES, (4,))),
    "other rows": _answer(Entry(_FP32, 0, 2 * _ROW_BYTES, (2, 4))),
    "a place beyond the area": _answer(Entry(_FP32, 1 << 40, _ROW_BYTES, (1, 4))),
    "a place across the end": _answer(Entry(_FP32, 65_536 - 8, _ROW_BYTES, (1, 4))),
    "an offset that wraps": _answer(Entry(_FP32, 2**64 - 8, _ROW_BYTES, (1, 4))),
    "a size that is not the shape's": _answer(Entry(_FP32, 0, 8, (1, 4))),
    "a need over the limit": _needs_too_much,
    "a need that is none": _needs_nothing,
    "a load error after ready": _load_error_late,
}
OTHERS: dict[str, Callable[[socket.socket, Execute, int], None]] = {
    "good answer": _answer(GOOD),
    "passes descriptors": _passes_descriptors,
    "shrinks its area": _shrinks_area,
    "closes the channel": _closes_channel,
    "exits": _exits,
    "sleeps": _sleeps,
    "holds the lock": _holds_the_lock,
    "crashes": _crashes,
    "answers and exits": _answers_and_exits,
}


WAITS = "waits"
"""Echoes, too, after as many microseconds as the first number says: an execution that takes time but no core."""
ABOVE = "above 100: "
"""`above 100: crashes` echoes the input `x` as `y` until a request's first number is larger than 100."""


def _echo(channel: socket.socket, message: Execute, fd: int, data: bytes, compute_ns: int = 1_000) -> None:
    with mmap.mmap(fd, 0) as area:
        area[: len(data)] = data
    entry = Entry(_FP32, 0, len(data), message.entries[0].shape)
    channel.sendall(encode(Result(message.sequence, compute_ns, (entry,))))


def _input(message: Execute, fd: int) -> bytes:
    entry = message.entries[0]
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as area:
        return area[entry.offset : entry.offset + entry.size_bytes]


def _serve(channel: socket.socket, behaviour: str, request_fd: int, response_fd: int) -> None:
    """Answer, or not, until told to stop."""
    while packet := channel.recv(MAX_FRAME_BYTES):
        received = decode(packet)
        if isinstance(received, Ping) and (behaviour == WAITS or behaviour.startswith(ABOVE)):
            channel.sendall(encode(Pong(received.sequence)))
            continue
        if not isinstance(received, Execute):
            return
        if behaviour == "chatters":
            for _ in range(2_000):
                print("x" * 1_000, flush=True)
            behaviour = "good answer"
        if behaviour == WAITS:
            began_ns = time.monotonic_ns()
            data = _input(received, request_fd)
            time.sleep(max(struct.unpack_from("<f", data)[0], 0.0) / 1e6)
            _echo(channel, received, response_fd, data, time.monotonic_ns() - began_ns)
            continue
        if behaviour.startswith(ABOVE):
            data = _input(received, request_fd)
            if all(first <= 100 for first, *_ in struct.iter_unpack("<4f", data)):
                _echo(channel, received, response_fd, data)
                continue
        {**BEHAVIOURS, **OTHERS}[behaviour.removeprefix(ABOVE)](channel, received, response_fd)


def main() -> int:
    """Behave well until ready, then as the option `misbehave` says, or wait. Options with "load:" act earlier."""
    parser = argparse.ArgumentParser()
    for name in ("--channel-fd", "--request-fd", "--response-fd", "--parent-pid"):
        parser.add_argument(name, type=int)
    parser.add_argument("--scratch")
    arguments = parser.parse_args()
    channel = socket.socket(fileno=arguments.channel_fd)
    channel.setblocking(True)
    message = decode(channel.recv(MAX_FRAME_BYTES))
    if not isinstance(message, Load):
        return 1
    behaviour = json.loads(message.config_json)["options"].get("misbehave", WAITS)
    if behaviour == "load: crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if behaviour == "load: hang":
        signal.pause()
    if behaviour == "load: ready too early":
        channel.sendall(encode(Ready(0, 0, b"{}")))
        signal.pause()
    channel.sendall(encode(Loading()))
    details = b"not json" if behaviour == "load: unreadable" else b'{"device": "cpu", "sandbox": {}}'
    channel.sendall(encode(Ready(1, 1, details)))
    _serve(channel, behaviour, arguments.request_fd, arguments.response_fd)
    return 0


if __name__ == "__main__":
    sys.exit(main())
