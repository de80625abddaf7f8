"""Errors as answers."""

from __future__ import annotations

import json

import pytest

from proxy.core import errors
from proxy.core.errors import ProxyError, Reason
from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.protocol import v2_errors

KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, ProxyError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_an_object_with_one_text(kind: type[ProxyError]) -> None:
    answer = v2_errors.encode(kind(Reason.INTERNAL, "words"), "r-1")
    assert answer.status == kind.status
    assert json.loads(answer.body) == {"error": "words"}
    assert dict(answer.headers)[b"x-request-id"] == b"r-1"


@pytest.mark.parametrize(
    ("hint_ns", "seconds"),
    [(0, b"1"), (1, b"1"), (999 * NS_PER_MS, b"1"), (NS_PER_S + 1, b"2"), (90 * NS_PER_S, b"90")],
)
def test_a_hint_becomes_whole_seconds_rounded_up(hint_ns: int, seconds: bytes) -> None:
    answer = v2_errors.encode(errors.Rejected(Reason.QUEUE_FULL, "full", hint_ns), "r-1")
    assert (b"retry-after", seconds) in answer.headers


def test_a_missing_credential_is_challenged() -> None:
    answer = v2_errors.encode(errors.Unauthenticated(Reason.UNAUTHENTICATED, "no"), "r-1")
    assert dict(answer.headers)[b"www-authenticate"].startswith(b"Bearer")


def test_a_message_with_a_lone_surrogate_is_still_an_answer() -> None:
    answer = v2_errors.encode(errors.ExecutionFailed(Reason.MODEL_ERROR, "bad \ud800 end"), "r-1")
    assert json.loads(answer.body) == {"error": "bad ? end"}
