"""What the validator's child process says, read with limits: it ran a stranger's model and may say anything. Pure."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from models_admin.services.declarations import check_signature
from models_admin.services.errors import Invalid
from proxy.core.words import Parts, Words, say, told

MAX_LINE_BYTES = 65_536
MAX_MESSAGE_CHARACTERS = 2_000
MAX_MEASUREMENTS = 32
MAX_SAID_CHARACTERS = 4_000
"""Of a message in whole; more than MAX_MESSAGE_CHARACTERS, since our words stand around an error that is as long."""
MAX_SAID_PARTS = 32
MAX_SAID_DEPTH = 4
_TEMPLATE = re.compile(r"(?:[^%]|%%|%\([a-z_]{1,30}\)s)+")
_PLACE = re.compile(r"%\(([a-z_]+)\)s")
STATUSES = frozenset({"running", "passed", "failed", "skipped"})


class Malformed(Exception):
    """A line that is not one of the protocol's; the run counts as failed."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step's new status, with what was measured. A message that can be said in other languages is `Words`."""

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
        raise Malformed(say("a line is too long"))
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise Malformed(say("a line is not JSON")) from None
    if not isinstance(value, dict):
        raise Malformed(say("a line is not an object"))
    if "result" in value:
        return _result(value["result"])
    step, status = value.get("step"), value.get("status")
    if step not in known_steps or not isinstance(status, str) or status not in STATUSES:
        raise Malformed(say("a step or status is unknown"))
    return StepReport(
        step=step,
        status=status,
        message=_message(value.get("message", ""), value.get("said")),
        measurements=_measurements(value.get("measurements") or {}),
    )


def clean_text(value: Any) -> str:
    """Text for the page: a string without control characters, shortened."""
    if not isinstance(value, str):
        raise Malformed(say("a message is not text"))
    text = _printable(value)
    return text if len(text) <= MAX_MESSAGE_CHARACTERS else text[: MAX_MESSAGE_CHARACTERS - 1] + "…"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def _message(value: Any, said: Any) -> str:
    """The message, with its parts if they are well formed and say in English just what the message says.

    So a page can show nothing in another language that it would not show in English, but for our own translations.
    """
    message = clean_text(value)
    try:
        parts = _parts(said, MAX_SAID_DEPTH)
        text = told(parts, str)
    except (ValueError, TypeError, AttributeError):
        return message
    is_same = len(text) <= MAX_SAID_CHARACTERS and clean_text(text) == message
    return Words(message, parts) if is_same and message else message


def _parts(value: Any, depth: int) -> Parts:
    """Parts as `proxy.core.words` makes them, cleaned; ValueError or TypeError if they are not.

    Each value has one place, so what they say is no longer than they are.
    """
    if not isinstance(value, list) or len(value) > MAX_SAID_PARTS or not depth:
        raise ValueError("not a short list, or too deep")
    clean = []
    for template, values in value:
        if not isinstance(template, str) or not _TEMPLATE.fullmatch(template):
            raise ValueError("a template with other places than %(name)s")
        if sorted(_PLACE.findall(template.replace("%%", ""))) != sorted(values):
            raise ValueError("not one value a place")
        clean.append(
            [
                _printable(template),
                {
                    name: _printable(one) if isinstance(one, str) else _parts(one, depth - 1)
                    for name, one in values.items()
                },
            ]
        )
    return clean


def _measurements(value: Any) -> dict[str, float | int | str | bool]:
    if not isinstance(value, dict) or len(value) > MAX_MEASUREMENTS:
        raise Malformed(say("measurements are not a small object"))
    clean: dict[str, float | int | str | bool] = {}
    for name, item in value.items():
        if isinstance(item, str):
            clean[clean_text(name)[:60]] = clean_text(item)
        elif isinstance(item, bool | int) or (isinstance(item, float) and math.isfinite(item)):
            clean[clean_text(name)[:60]] = item if abs(item) < 2**63 else str(item)[:60]
        else:
            raise Malformed(say("a measurement is not a number or text"))
    return clean


def _result(value: Any) -> ResultReport:
    if not isinstance(value, dict) or not isinstance(value.get("batchable"), bool):
        raise Malformed(say("the result is incomplete"))
    try:
        signature = check_signature(value.get("signature"), batchable=value["batchable"])
    except Invalid as error:
        raise Malformed(say("the result's signature is not valid (%(error)s)", error=error.message)) from None
    if signature is None:
        raise Malformed(say("the result has no signature"))
    return ResultReport(
        signature=signature,
        batchable=value["batchable"],
        load_time_ms=_number(value.get("load_time_ms")),
        sample_latency_ms=_number(value.get("sample_latency_ms")),
        memory_bytes=int(_number(value.get("memory_bytes"))),
    )


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**62:
        raise Malformed(say("a measurement of the result is missing or not a number"))
    return value
