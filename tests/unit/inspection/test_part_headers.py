"""Part headers of an upload form: mended where Django would drop the file, and the file's own bytes never."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from models_admin.api.part_headers import MAX_HEADERS_BYTES, ReadableHeaders

HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="gr\xf6\xdfe"\r\n\r\n'
MENDED = '--edge\r\nContent-Disposition: form-data; name="file"; filename="größe"\r\n\r\n'.encode()


class Dripping(io.BytesIO):
    """Gives a few bytes at a time, as a network does."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._step)


def through(content: bytes, step: int) -> bytes:
    stream = ReadableHeaders(Dripping(content, step), b"edge")
    return b"".join(iter(lambda: stream.read(64), b""))


@given(st.binary(max_size=200), st.integers(1, 64))
def test_u19_only_headers_change_however_the_bytes_arrive(content: bytes, step: int) -> None:
    content = content.replace(b"--edge", b"")
    assert through(HEAD + content + b"\r\n--edge--\r\n", step) == MENDED + content + b"\r\n--edge--\r\n"


@given(st.lists(st.sampled_from([b"--edge", b"\r\n\r\n", b"--", b"ed", b"x", b"\r\n"]), max_size=40), st.integers(1, 9))
def test_u22_bytes_that_are_no_form_pass_through(parts: list[bytes], step: int) -> None:
    assert through(b"".join(parts), step) == b"".join(parts)


def test_u22_headers_without_end_are_not_held_back_for_ever() -> None:
    content = b"--edge\r\n" + b"x" * (3 * MAX_HEADERS_BYTES)
    stream = ReadableHeaders(io.BytesIO(content), b"edge")
    got = b"".join(iter(lambda: stream.read(1_000), b""))
    assert got == content
