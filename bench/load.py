"""A closed-loop HTTP load that checks every answer: each connection has one request on its way, always.

Used by bench/kill, by bench/smoke where wrk is missing, and to check the answers before any timing.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field

# Float32 sums differ in their last digits with the batch that a row was computed in.
TOLERANCE = 1e-4
_RECONNECT_S = 0.05
_ANSWER_TIMEOUT_S = 40.0


@dataclass(frozen=True, slots=True)
class Case:
    """One request body and the first output's values that a right answer has."""

    body: bytes
    expected: tuple[float, ...]


@dataclass(slots=True)
class Tally:
    """What the clients saw. `refused` counts statuses other than 200; times are seconds of the monotonic clock."""

    right: int = 0
    wrong: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    connection_errors: int = 0
    refused_connections: int = 0
    timeouts: int = 0
    latencies_s: list[float] = field(default_factory=list)
    right_at_s: list[float] = field(default_factory=list)
    errors_at_s: list[float] = field(default_factory=list)
    wrong_example: str = ""
    refused_example: str = ""
    seconds: float = 0.0

    def quantile_ms(self, q: float) -> float:
        """Latency quantile of the right answers, in ms."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] * 1_000 if ordered else float("nan")

    @property
    def requests_per_s(self) -> float:
        """Right answers a second."""
        return self.right / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go and with which headers."""

    host: str
    port: int
    path: str
    headers: dict[str, str]

    def packet(self, body: bytes) -> bytes:
        """The bytes of one request."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


def is_right(body: bytes, expected: tuple[float, ...]) -> bool:
    """Whether the first output of a V2 answer has the expected values."""
    try:
        got = json.loads(body)["outputs"][0]["data"]
    except (ValueError, KeyError, IndexError, TypeError):
        return False
    return len(got) == len(expected) and all(abs(a - b) <= TOLERANCE for a, b in zip(got, expected, strict=True))


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    status, length, keep = int(lines[0].split(b" ")[1]), 0, True
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"connection":
            keep = value.strip().lower() != b"close"
    return status, await reader.readexactly(length), keep


async def run_load(target: Target, cases: list[Case], connections: int, seconds: float) -> Tally:
    """Load `target` for `seconds` and count what each of `connections` clients sees."""
    tally = Tally()
    packets = [(target.packet(case.body), case) for case in cases]
    began_s = time.monotonic()
    end_s = began_s + seconds
    await asyncio.gather(*(_client(target, packets, index, end_s, tally) for index in range(connections)))
    tally.seconds = time.monotonic() - began_s
    return tally


async def _client(target: Target, packets: list[tuple[bytes, Case]], index: int, end_s: float, tally: Tally) -> None:
    position = index
    while time.monotonic() < end_s:
        try:
            reader, writer = await asyncio.open_connection(target.host, target.port)
        except OSError:
            tally.refused_connections += 1
            tally.errors_at_s.append(time.monotonic())
            await asyncio.sleep(_RECONNECT_S)
            continue
        try:
            keep = True
            while keep and time.monotonic() < end_s:
                packet, case = packets[position % len(packets)]
                position += 1
                sent_s = time.monotonic()
                writer.write(packet)
                status, body, keep = await asyncio.wait_for(read_answer(reader), _ANSWER_TIMEOUT_S)
                _count(tally, status, body, case, sent_s)
        except TimeoutError:
            tally.timeouts += 1
            tally.errors_at_s.append(time.monotonic())
        except (OSError, asyncio.IncompleteReadError):
            tally.connection_errors += 1
            tally.errors_at_s.append(time.monotonic())
            await asyncio.sleep(_RECONNECT_S)
        finally:
            writer.close()


def _count(tally: Tally, status: int, body: bytes, case: Case, sent_s: float) -> None:
    now_s = time.monotonic()
    if status != 200:
        tally.refused[status] += 1
        tally.errors_at_s.append(now_s)
        tally.refused_example = tally.refused_example or body[:300].decode(errors="replace")
    elif is_right(body, case.expected):
        tally.right += 1
        tally.latencies_s.append(now_s - sent_s)
        tally.right_at_s.append(now_s)
    else:
        tally.wrong += 1
        tally.errors_at_s.append(now_s)
        tally.wrong_example = tally.wrong_example or body[:300].decode(errors="replace")
