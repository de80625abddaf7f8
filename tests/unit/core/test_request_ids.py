"""What a request is called, and what no caller may write into a header or the log."""

from __future__ import annotations

import pytest

from proxy.core.errors import ExecutionFailed, Reason
from proxy.core.request_ids import RequestIds, of_headers
from proxy.core.units import NS_PER_S
from proxy.metrics.fault_lines import BURST, FaultLines


@pytest.mark.parametrize(
    "given", ["a", "0b4e-11", "Root=1-67891233-abcdef012345678912345678", "x" * 128, "a+b/c==", "j@h"]
)
def test_an_id_of_the_safe_alphabet_is_taken(given: str) -> None:
    assert of_headers([(b"host", b"h"), (b"x-request-id", given.encode())]) == given


@pytest.mark.parametrize(
    "given",
    ["", "x" * 129, "a b", "a\tb", "a\x1b[31m", "é", "=cmd()", "-a", "@a", "<b>", 'a"', "a,b", "a;b", "a%0Ab", "a\n"],
)
def test_another_is_as_none(given: str) -> None:
    assert of_headers([(b"x-request-id", given.encode("latin-1"))]) is None


def test_two_ids_are_none() -> None:
    assert of_headers([(b"x-request-id", b"a"), (b"x-request-id", b"a")]) is None


@pytest.mark.parametrize(
    ("of_header", "of_body", "answered", "shown", "others"),
    [
        (None, None, "auto-1", "auto-1", ()),
        (None, "order-1", "order-1", "order-1", ()),
        ("trace-1", None, "trace-1", "trace-1", ()),
        ("trace-1", "order-1", "trace-1", "trace-1", ("order-1",)),
        ("same", "same", "same", "same", ()),
        (None, "my id\r\n", "auto-1", "my id\r\n", ("auto-1",)),
        ("trace-1", "my id", "trace-1", "trace-1", ("my id",)),
        (None, "", "auto-1", "auto-1", ()),
        (None, "x" * 200, "auto-1", "x" * 128, ("auto-1",)),
    ],
)
def test_the_headers_id_counts_first_and_all_are_found(
    of_header: str | None, of_body: str | None, answered: str, shown: str, others: tuple[str, ...]
) -> None:
    ids = RequestIds(of_header, of_body, "auto-1")
    assert (ids.answered(), ids.shown(), ids.others()) == (answered, shown, others)


def test_a_flood_of_faults_has_few_lines_and_one_reason_silences_no_other() -> None:
    lines = FaultLines()
    raised, lost = (ExecutionFailed(reason, "x") for reason in (Reason.MODEL_ERROR, Reason.INSTANCE_LOST))
    said = [lines.line(f"auto-{n}", "m/1", raised, n) for n in range(1_000)]
    assert said[0] == "request auto-0 of m/1 was answered 500 model_error"
    assert len([line for line in said if line]) == BURST + 1
    assert lines.line("a", "", lost, 1_000) == "request a of no model was answered 500 instance_lost"
    after = lines.line("b", "m/1", raised, 2 * NS_PER_S)
    assert (
        after
        == f"request b of m/1 was answered 500 model_error; {1_000 - BURST - 1} more of this reason since its last line"
    )
