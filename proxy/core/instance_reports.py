"""What is said of instances beside each second's report: what they printed, how they ended, what an order came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OrderOutcome(StrEnum):
    """What came of an order to restart or drain one instance. Nothing that it accepted is lost in any case."""

    BESIDE = "beside"
    """Another is started beside it; once that one is ready, it takes no new work, finishes and ends."""
    REPLACED = "replaced"
    """It takes no new work, finishes and ends; as many are wanted as before, so another is started at once."""
    NOT_REPLACED = "not_replaced"
    """It takes no new work, finishes and ends; fewer are wanted than there are, so none follows."""
    ENDING = "ending"
    """It is ending already; nothing was done."""
    GONE = "gone"
    """There is no such instance."""


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How an instance ended. `is_planned`: it was told to. `log`: its last words, secrets blacked out."""

    instance_id: str
    at_unix_s: float
    words: str
    is_planned: bool
    uptime_s: float
    executions: int
    log: str


@dataclass(frozen=True, slots=True)
class InstanceLog:
    """What an instance printed lately, secrets blacked out. Not `is_alive`: it has ended, these are its last words."""

    instance_id: str
    text: str
    is_alive: bool
