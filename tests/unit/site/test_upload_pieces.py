"""A long PATCH goes on in pieces, each judged; what came before the connection broke off is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dlproxy_site.upload_pieces import UploadPieces

PATH = "/api/v1/uploads/0b0e"


class Server:
    """Takes pieces as Django's handler does: the body, then a wait for the sender's going."""

    def __init__(self, refuse_at: int | None = None) -> None:
        self.seen: list[tuple[str, int, bytes]] = []
        self._refuse_at = refuse_at

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        body, more = b"", True
        while more:
            message = await receive()
            assert message["type"] == "http.request"
            body, more = body + message["body"], message.get("more_body", False)
        listening = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert not listening.done(), "a sender that went away undoes no piece"
        listening.cancel()
        assert int(headers[b"content-length"]) == len(body)
        self.seen.append((scope["method"], int(headers.get(b"upload-offset", b"-1")), body))
        status = 409 if self._refuse_at == len(self.seen) else 204
        await send({"type": "http.response.start", "status": status, "headers": [(b"n", b"%d" % len(self.seen))]})
        await send({"type": "http.response.body", "body": b""})


def ask(server: Server, chunks: list[bytes | None], method: str = "PATCH", path: str = PATH, **extra: bytes) -> Any:
    """What the sender of these chunks is answered; None among them: the connection breaks off there."""
    sent: list[Any] = []
    length = sum(len(chunk or b"xx") for chunk in chunks)
    named = {"upload-offset": b"7", "content-length": b"%d" % length}
    named |= {name.replace("_", "-"): value for name, value in extra.items()}
    messages: list[Any] = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": number + 1 < len(chunks)}
        for number, chunk in enumerate(chunks)
    ]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value) for name, value in named.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    asyncio.run(asyncio.wait_for(UploadPieces(server, piece_bytes=4)(scope, receive, send), 20))
    return sent


@pytest.mark.parametrize("chunks", [[b"abcdefghij"], [b"a", b"", b"bcdefghi", b"j"], [b"abcd", b"efgh", b"ij", b""]])
def test_a_body_goes_on_in_pieces_that_follow_each_other(chunks: list[bytes | None]) -> None:
    server = Server()
    sent = ask(server, chunks)
    assert server.seen[:3] == [("PATCH", 7, b"abcd"), ("PATCH", 11, b"efgh"), ("PATCH", 15, b"ij")]
    assert server.seen[3:] in ([], [("PATCH", 17, b"")])
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["headers"] == [(b"n", b"%d" % len(server.seen))], "the last piece's answer"


def test_what_came_before_the_connection_broke_off_is_kept() -> None:
    server = Server()
    assert ask(server, [b"abcdef", None]) == []
    assert server.seen == [("PATCH", 7, b"abcd"), ("PATCH", 11, b"ef")]
    server = Server()
    assert ask(server, [b"abcd", None]) == []
    assert server.seen == [("PATCH", 7, b"abcd")]


def test_after_a_refusal_nothing_more_is_read() -> None:
    server = Server(refuse_at=1)
    sent = ask(server, [b"abcdefgh", b"never", None])
    assert len(server.seen) == 1
    assert sent[0]["status"] == 409
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_piece_of_no_bytes_is_asked_once() -> None:
    server = Server()
    assert ask(server, [b""])[0]["status"] == 204
    assert server.seen == [("PATCH", 7, b"")]


@pytest.mark.parametrize(
    ("method", "path", "extra"),
    [
        ("PATCH", PATH, {"upload_checksum": b"sha256 x"}),
        ("PATCH", "/api/v1/models/digits", {}),
        ("PATCH", PATH + "/more", {}),
        ("POST", PATH, {}),
        ("POST", PATH, {"x_http_method_override": b"GET"}),
    ],
)
def test_everything_else_goes_on_whole(method: str, path: str, extra: dict[str, bytes]) -> None:
    server = Server()
    ask(server, [b"abcde", b"fghij"], method, path, **extra)
    assert server.seen == [(method, 7, b"abcdefghij")]


@pytest.mark.parametrize("offset", [b"", b"-1", b"x", b"1" * 16, "²".encode()])
def test_an_offset_that_is_none_is_left_to_the_view_to_refuse(offset: bytes) -> None:
    passed: list[bytes] = []

    async def view(scope: Any, _receive: Any, _send: Any) -> None:
        passed.append(dict(scope["headers"])[b"upload-offset"])

    ask(view, [b"abcdefgh"], upload_offset=offset)  # type: ignore[arg-type]
    assert passed == [offset]


def test_the_method_may_be_named_in_a_header() -> None:
    server = Server()
    ask(server, [b"abcdef"], "POST", x_http_method_override=b"PATCH")
    assert [piece[0] for piece in server.seen] == ["PATCH", "PATCH"]
