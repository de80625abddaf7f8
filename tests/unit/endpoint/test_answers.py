"""Answers as bytes."""

from __future__ import annotations

from proxy.core.requests import Answer
from proxy.endpoint import answers


def encoded(answer: Answer, connection: bytes, date: bytes, *, with_body: bool) -> bytes:
    return b"".join(answers.encode(answer, connection, date, with_body=with_body))


def test_an_answer_is_json_unless_it_says_otherwise() -> None:
    assert encoded(Answer(200, b"{}"), b"", b"date: d\r\n", with_body=True) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: d\r\ncontent-length: 2\r\n\r\n{}"
    )
    text = Answer(200, b"x", ((b"content-type", b"text/plain"),))
    assert encoded(text, b"", b"", with_body=True) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\nx"
    )


def test_a_head_request_learns_the_length_without_the_body() -> None:
    data = encoded(Answer(405, b"{}"), b"connection: close\r\n", b"", with_body=False)
    assert data.endswith(b"connection: close\r\ncontent-length: 2\r\n\r\n")


def test_equal_statuses_with_other_headers_are_not_mixed_up() -> None:
    for seconds in [b"%d" % n for n in range(600)] * 2:
        data = encoded(Answer(503, b"", ((b"retry-after", seconds),)), b"", b"", with_body=True)
        assert b"\r\nretry-after: %b\r\n" % seconds in data
        assert data.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_an_id_is_of_one_answer_and_its_head_is_not_kept() -> None:
    before = len(answers._heads)
    for number in range(3):
        data = encoded(Answer(503, b"", ((b"x-request-id", b"r-%d" % number),)), b"", b"", with_body=True)
        assert b"\r\nx-request-id: r-%d\r\n" % number in data
    assert len(answers._heads) == before
    assert answers.without_id(Answer(503, b"{}", ((b"retry-after", b"1"), (b"x-request-id", b"r")))).headers == (
        (b"retry-after", b"1"),
    )


def test_a_large_body_is_not_copied_behind_its_head() -> None:
    body = bytes(answers.JOINED_BYTES + 1)
    head, written = answers.encode(Answer(200, body), b"", b"", with_body=True)
    assert written is body
    assert head.endswith(b"content-length: %d\r\n\r\n" % len(body))
    assert len(answers.encode(Answer(200, body), b"", b"", with_body=False)) == 1
