"""Many dashboards' live sockets in one process that costs little: it reads, answers pings, and decodes nothing.

`python -m bench.watchers PORT` reads a JSON list of Cookie headers, connects them all, prints READY, and at the next
line of its input what it took: sockets still open, bytes, reads, its own processor seconds.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys

HOST = "127.0.0.1"
VIEW = "?models=digits,silero-vad"
"""What the overview asks for where the demo models are all."""
_PING, _PONG = 0x89, b"\x8a"
_READ_BYTES = 262_144


def main() -> int:
    """Connect, watch, tell."""
    port = int(sys.argv[1])
    cookies = json.loads(sys.stdin.readline())
    sockets = [_open(port, cookie) for cookie in cookies]
    chooser = selectors.DefaultSelector()
    for one in sockets:
        one.setblocking(False)
        chooser.register(one, selectors.EVENT_READ)
    chooser.register(sys.stdin, selectors.EVENT_READ)
    print("READY", flush=True)
    began_s, size_bytes, reads, closed, goes_on = _processor_s(), 0, 0, 0, True
    while goes_on:
        for key, _ in chooser.select():
            if key.fileobj is sys.stdin:
                goes_on = False
                continue
            data = key.fileobj.recv(_READ_BYTES)  # type: ignore[union-attr]
            size_bytes += len(data)
            reads += 1
            if not data:
                closed += 1
                chooser.unregister(key.fileobj)
            elif data[0] == _PING:
                key.fileobj.send(_PONG + bytes([0x80 | data[1]]) + bytes(4) + data[2 : 2 + data[1]])  # type: ignore[union-attr]
    open_now = len(sockets) - closed
    print(json.dumps({"open": open_now, "bytes": size_bytes, "reads": reads, "cpu_s": _processor_s() - began_s}))
    return 0


def _open(port: int, cookie: str) -> socket.socket:
    """A socket after the handshake; RuntimeError where it is refused."""
    one = socket.create_connection((HOST, port), timeout=60)
    head = (
        f"GET /ws/live/{VIEW} HTTP/1.1\r\nHost: {HOST}:{port}\r\nOrigin: http://{HOST}:{port}\r\nCookie: {cookie}\r\n"
    )
    head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: d2F0Y2hlcnMgb2Ygb3Vycw==\r\n"
    one.sendall(f"{head}Sec-WebSocket-Version: 13\r\n\r\n".encode())
    answer = one.recv(_READ_BYTES)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"no socket: {answer[:200]!r}")
    return one


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
