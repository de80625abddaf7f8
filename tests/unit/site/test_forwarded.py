"""Whose request it is behind a reverse proxy."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlproxy_site.asgi import Site
from dlproxy_site.forwarded import client_of

PROXY = ("127.0.0.1", 40_000)


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([], PROXY),
        ([b"192.0.2.7"], ("192.0.2.7", 0)),
        ([b"2001:db8::7"], ("2001:db8::7", 0)),
        ([b"10.0.0.1, 192.0.2.7"], ("192.0.2.7", 0)),
        ([b"10.0.0.1", b"192.0.2.7"], ("192.0.2.7", 0)),
        ([b"fe80::7%eth0"], ("fe80::7", 0)),  # the proxy's own name of its link: no part of an address in the database
        ([b"192.0.2.7, unknown"], PROXY),
        ([b"192.0.2.7,"], PROXY),
        ([b"\xff\xfe"], PROXY),
    ],
)
def test_only_the_address_that_the_proxy_wrote_itself_is_believed(lines: list[bytes], client: tuple[str, int]) -> None:
    headers = [(b"host", b"models.example.org"), *((b"x-forwarded-for", line) for line in lines)]
    assert client_of(headers, PROXY) == client


def test_without_a_peer_and_a_word_of_the_proxy_nobody_is_named() -> None:
    assert client_of([], None) is None


@pytest.mark.parametrize(("is_behind_a_proxy", "client"), [(False, PROXY), (True, ("192.0.2.7", 0))])
def test_without_a_proxy_in_front_what_a_client_says_of_itself_is_not_believed(
    is_behind_a_proxy: bool, client: tuple[str, int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HTTPS = is_behind_a_proxy
    site, seen = Site(), []

    async def page(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"])

    monkeypatch.setattr(site, "_inference", page)  # as if the data plane ran
    monkeypatch.setattr(site, "_pages", page)
    scope = {"type": "http", "path": "/login/", "client": PROXY, "headers": [(b"x-forwarded-for", b"192.0.2.7")]}
    asyncio.run(site(scope, page, page))  # type: ignore[arg-type]
    assert seen == [client]
