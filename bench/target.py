"""A server under test as its client sees it: where requests go, how they are written, whether answers are right."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from bench.peers import models
from bench.peers.wire import Row, Wire
from bench.wrk import Shot

HOST = "127.0.0.1"
# Float32 sums differ in their last digits with the batch that a row was computed in.
TOLERANCE = 1e-4
_ROUNDS = 2
_CHECKED_ROWS = 16
_CHECKED_VALUES = 600_000  # of all rows together


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to ask for one model. `extra` are headers of every request, such as the key."""

    port: int
    path: str
    wire: Wire
    extra: Mapping[str, str] = field(default_factory=dict)

    def shot(self, workload: str) -> Shot:
        """The one request that wrk repeats."""
        return self.shot_of(models.sample(workload))

    def shot_of(self, row: Row) -> Shot:
        """A request with this row."""
        url = f"http://{HOST}:{self.port}{self.path}"
        return Shot(url, self.wire.write(row), {**self.wire.headers(row), **self.extra})

    def ask(self, row: Row, timeout_s: float = 30) -> tuple[int, Row | str]:
        """Status and the row in the answer (of an error: the first of its words)."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout_s)
        try:
            headers = {**self.wire.headers(row), **self.extra}
            connection.request("POST", self.path, self.wire.write(row), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                return answer.status, body[:300].decode(errors="replace")
            return 200, self.wire.read(body, answer.headers)
        finally:
            connection.close()


def count_wrong(endpoint: Endpoint, workload: str, callers: int = 64) -> tuple[int, str]:
    """Ask with `callers` different rows at once, twice; how many answers differ from the model called directly."""
    base = models.sample(workload)
    rows = [[round(value + index / 64, 5) for value in base] for index in range(callers)]
    wanted = models.expected(workload, rows)
    wrong: list[str] = []

    def one(index: int) -> None:
        try:
            status, got = endpoint.ask(rows[index])
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            wrong.append(repr(error)[:300])
            return
        if status != 200 or isinstance(got, str) or not is_close(got, wanted[index]):
            wrong.append(f"{status}: {str(got)[:300]}")

    for _ in range(_ROUNDS):
        threads = [threading.Thread(target=one, args=(index,)) for index in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(wrong), wrong[0] if wrong else ""


class Checker:
    """Asks beside a load, one request after the other with rows of its own, and holds each answer against the model.

    `interval_s` is the pause between two; the rows differ, so an answer meant for another request is a wrong one. The
    first row is the one that the load repeats, so that a cache is checked, too.
    """

    def __init__(self, endpoint: Endpoint, workload: str, interval_s: float) -> None:
        self.asked = 0
        self.wrong = 0
        self.example = ""
        base = models.sample(workload)
        count = 1 + min(_CHECKED_ROWS, _CHECKED_VALUES // len(base))
        self._rows = [base, *([round(value - index / 32, 5) for value in base] for index in range(1, count))]
        self._wanted = models.expected(workload, self._rows)
        self._endpoint = endpoint
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Checker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            index = self.asked % len(self._rows)
            self.asked += 1
            try:
                status, got = self._endpoint.ask(self._rows[index])
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                status, got = 0, repr(error)
            if status != 200 or isinstance(got, str) or not is_close(got, self._wanted[index]):
                self.wrong += 1
                self.example = self.example or f"{status}: {str(got)[:300]}"


def is_close(got: Row, wanted: Row) -> bool:
    """Whether the answer is the model's, within float32's last digits."""
    return len(got) == len(wanted) and max(abs(a - b) for a, b in zip(got, wanted, strict=True)) <= TOLERANCE


def usage(find: Callable[[], list[psutil.Process]]) -> dict[str, Any]:
    """CPU seconds so far and memory of the found processes. Where PSS may not be read, resident memory is taken."""
    cpu_s, memory_bytes, count, is_pss = 0.0, 0, 0, True
    for process in find():
        try:
            times = process.cpu_times()
            cpu_s += times.user + times.system
            try:
                memory_bytes += process.memory_full_info().pss
            except psutil.AccessDenied:
                memory_bytes += process.memory_info().rss
                is_pss = False
            count += 1
        except psutil.Error:
            continue
    return {"cpu_s": cpu_s, "memory_mib": round(memory_bytes / 2**20), "processes": count, "is_pss": is_pss}
