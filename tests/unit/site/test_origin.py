"""Which pages may open a websocket (W1)."""

from __future__ import annotations

import pytest

from dlproxy_site.origin import is_same_origin

ALLOWED = ["localhost", ".example.org"]


def headers(origin: str, host: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", host.encode()), (b"origin", origin.encode())]


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "localhost:8000"),
        ("http://LOCALHOST:8000", "localhost:8000"),
        ("https://models.example.org", "models.example.org"),
        ("https://models.example.org", "models.example.org:443"),
        ("http://localhost:80", "localhost"),
    ],
)
def test_w01_a_page_of_this_server_may(origin: str, host: str) -> None:
    assert is_same_origin(headers(origin, host), ALLOWED)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://evil.example:8000", "evil.example:8000"),  # a name that was rebound to this address
        ("http://localhost:8001", "localhost:8000"),
        ("http://localhost:8000/x", "localhost:8000"),
        ("http://a@localhost:8000", "localhost:8000"),
        ("null", "localhost:8000"),
        ("", "localhost:8000"),
        ("http://localhost:8000", ""),
        ("http://:", ":"),
        ("http://[", "["),
    ],
)
def test_w01_another_page_may_not(origin: str, host: str) -> None:
    assert not is_same_origin(headers(origin, host), ALLOWED)


def test_w01_neither_header_may_be_missing_or_come_twice() -> None:
    both = headers("http://localhost", "localhost")
    assert is_same_origin(both, ALLOWED)
    for wrong in (both[:1], both[1:], [*both, both[0]], [*both, both[1]]):
        assert not is_same_origin(wrong, ALLOWED)
