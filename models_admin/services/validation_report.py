"""What the validator's child process says, read with limits: it ran a stranger's model and may say anything. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

from models_admin.services.declarations import check_signature
from models_admin.services.errors import Invalid

MAX_LINE_BYTES = 65_536
MAX_MESSAGE_CHARACTERS = 2_000
MAX_MEASUREMENTS = 32
STATUSES = frozenset({"running", "passed", "failed", "skipped"})


class Malformed(Exception):
    """A line that is not one of the protocol's; the run counts as failed."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step's new status, with what was measured."""

    step: str
    status: str
    message: str = ""
    measurements: dict[str, float | int | str | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResultReport:
    """The end of a run in which every step passed."""

    signature: dict[str, Any]
    batchable: bool
    load_time_ms: float
    sample_latency_ms: float
    memory_bytes: int


def parse_line(line: bytes, known_steps: tuple[str, ...]) -> StepReport | ResultReport:
    """One line of the report; raises Malformed."""
    if len(line) > MAX_LINE_BYTES:
        raise Malformed("a line is too long")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed("a line is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("a line is not an object")
    if "result" in value:
        return _result(value["result"])
    step, status = value.get("step"), value.get("status")
    if step not in known_steps or not isinstance(status, str) or status not in STATUSES:
        raise Malformed("a step or status is unknown")
    return StepReport(
        step=step,
        status=status,
        message=clean_text(value.get("message", "")),
        measurements=_measurements(value.get("measurements") or {}),
    )


def clean_text(value: Any) -> str:
    """Text for the page: a string without control characters, shortened."""
    if not isinstance(value, str):
        raise Malformed("a message is not text")
    text = "".join(c if c.isprintable() or c == "\n" else "�" for c in value)
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def _measurements(value: Any) -> dict[str, float | int | str | bool]:
    if not isinstance(value, dict) or len(value) > MAX_MEASUREMENTS:
        raise Malformed("measurements are not a small object")
    clean: dict[str, float | int | str | bool] = {}
    for name, item in value.items():
        if isinstance(item, str):
            clean[clean_text(name)[:60]] = clean_text(item)
        elif isinstance(item, bool | int) or (isinstance(item, float) and math.isfinite(item)):
            clean[clean_text(name)[:60]] = item if abs(item) < 2**63 else str(item)[:60]
        else:
            raise Malformed("a measurement is not a number or text")
    return clean


def _result(value: Any) -> ResultReport:
    if not isinstance(value, dict) or not isinstance(value.get("batchable"), bool):
        raise Malformed("the result is incomplete")
    try:
        signature = check_signature(value.get("signature"), batchable=value["batchable"])
    except Invalid as error:
        raise Malformed(f"the result's signature is not valid ({error.message})") from None
    if signature is None:
        raise Malformed("the result has no signature")
    return ResultReport(
        signature=signature,
        batchable=value["batchable"],
        load_time_ms=_number(value.get("load_time_ms")),
        sample_latency_ms=_number(value.get("sample_latency_ms")),
        memory_bytes=int(_number(value.get("memory_bytes"))),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**62:
        raise Malformed("a measurement of the result is missing or not a number")
    return value
