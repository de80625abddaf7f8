"""Splits the time of one request into the parts that follow each other, from the moments that were noted on its way.

Pure. Rules: parts are never negative and sum to the total exactly; what belongs to no other part goes to the last one
before it: with an execution that is `message`, the way between the processes.
Names (those of the Server-Timing header and a few more): `body` its bytes came in; `parse` it was read; `cache` the
cache was asked; `queue` it waited for an instance; `batch` for company; `input`, `compute`, `output` are the
execution's own times; `pieces` several executions of a request that is larger than one holds; `shared` it waited for an
identical request's execution; `failed` an execution that gave no answer; `write` the answer was written.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.core.batches import BatchResult
from proxy.core.requests import InferenceRequest

Parts = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Moments:
    """Points in time (monotonic ns) that the line noted beside those in the request; 0: it did not come to that.

    `received_ns`: the body was complete. `asked_ns`, `looked_ns`: the cache's look-up began and ended. `executed_ns`:
    the result was there. `answered_ns`: the answer was written, or the error was known.
    """

    received_ns: int
    asked_ns: int
    looked_ns: int
    executed_ns: int
    answered_ns: int


def split(
    request: InferenceRequest, moments: Moments, execution: BatchResult | None, *, is_follower: bool = False
) -> Parts:
    """(name, ns) of each part that the request had. `is_follower`: an identical request's execution answered it."""
    walk = _Walk(request.arrival_ns)
    walk.to("body", moments.received_ns)
    if moments.looked_ns:
        walk.to("parse", moments.asked_ns)
        walk.to("cache", moments.looked_ns)
    if is_follower:
        walk.to("shared", moments.executed_ns or moments.answered_ns)
    elif request.queued_ns:
        walk.to("parse", request.queued_ns)
        _execute(walk, request, moments, execution)
    walk.to("write", moments.answered_ns)
    return walk.parts()


def _execute(walk: _Walk, request: InferenceRequest, moments: Moments, execution: BatchResult | None) -> None:
    """From the queue to the result, or to the error."""
    if not request.dispatched_ns:
        walk.to("queue", moments.answered_ns)
        return
    walk.to("queue", request.idle_ns or request.dispatched_ns)
    walk.to("batch", request.dispatched_ns)
    if not moments.executed_ns:
        walk.to("failed", moments.answered_ns)
    elif execution is None or request.run is None:
        walk.to("pieces", moments.executed_ns)
    else:
        walk.take("input", execution.input_ns, moments.executed_ns)
        walk.take("compute", execution.compute_ns, moments.executed_ns)
        walk.take("output", execution.output_ns, moments.executed_ns)
        walk.to("message", moments.executed_ns)


class _Walk:
    """Goes along a request's time; moments before the last one add nothing."""

    __slots__ = ("_at_ns", "_parts")

    def __init__(self, begin_ns: int) -> None:
        self._at_ns = begin_ns
        self._parts: dict[str, int] = {}

    def to(self, name: str, moment_ns: int) -> None:
        """The time up to `moment_ns` is `name`'s."""
        if moment_ns > self._at_ns:
            self._parts[name] = self._parts.get(name, 0) + moment_ns - self._at_ns
            self._at_ns = moment_ns

    def take(self, name: str, length_ns: int, until_ns: int) -> None:
        """`length_ns` are `name`'s, but none after `until_ns`."""
        self.to(name, min(self._at_ns + length_ns, until_ns))

    def parts(self) -> Parts:
        """What there was."""
        return tuple(self._parts.items())
