"""Whatever pieces are sent in whatever order, an upload is a beginning of its file, and the whole of it at the end."""

from __future__ import annotations

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from models_admin.api import upload_headers as headers
from models_admin.services import upload_files
from models_admin.services.errors import Conflict, Invalid, TooLarge
from models_admin.services.upload_rules import check_piece

CONTENT = bytes(range(64))
# A piece: where it claims to begin, how long it is, and whether it breaks off before its end.
PIECES = st.lists(st.tuples(st.integers(0, 70), st.integers(0, 40), st.booleans()), max_size=30)


class BrokeOffError(Exception):
    """The sender went away."""


def test_upload_is_always_a_beginning_of_its_file() -> None:
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "incoming").mkdir()
        with override_settings(DLPROXY_ARTIFACTS_DIR=Path(home), DLPROXY_MIN_FREE_BYTES=0):
            an_upload_is_a_beginning_of_its_file()


@given(PIECES)
def an_upload_is_a_beginning_of_its_file(pieces: list[tuple[int, int, bool]]) -> None:
    upload_id, received = uuid4(), 0
    upload_files.make(upload_id)
    for offset, count, breaks_off in [*pieces, (-1, 0, False)]:
        at = received if offset < 0 else offset
        data = CONTENT[at : at + count] if offset >= 0 else CONTENT[at:]
        before = received
        try:
            with upload_files.held(upload_id) as file:
                received = upload_files.append(
                    upload_id, file, chunks_of(data, breaks_off), offset=at, size_bytes=len(CONTENT)
                )
            assert (at, breaks_off) == (before, False)
            assert received == before + len(data)
        except Conflict:
            assert at != before
        except BrokeOffError:
            assert breaks_off
        kept = upload_files.held_path(upload_id)
        assert kept is not None
        assert kept.read_bytes() == CONTENT[:received]
    with upload_files.held(upload_id) as file:
        assert upload_files.digest_of(upload_id, file) == hashlib.sha256(CONTENT).hexdigest()
    upload_files.remove(upload_id)


def chunks_of(data: bytes, breaks_off: bool) -> Iterator[bytes]:
    for start in range(0, len(data), 16):
        yield data[start : start + 16]
    if breaks_off:
        raise BrokeOffError


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_a_piece_is_taken_only_where_the_file_ends_and_if_it_fits(
    offset: int, received: int, size_bytes: int, count: int
) -> None:
    try:
        check_piece(offset=offset, received=received, size_bytes=size_bytes, count=count)
    except Conflict:
        assert offset != received
    except TooLarge:
        assert offset == received
        assert offset + count > size_bytes
    else:
        assert offset == received
        assert offset + count <= size_bytes


@given(st.dictionaries(st.from_regex(r"[a-z_0-9]{1,12}", fullmatch=True), st.text(max_size=30), max_size=6))
def test_metadata_that_is_written_is_read_back(values: dict[str, str]) -> None:
    pairs = (f"{name} {base64.b64encode(value.encode()).decode()}".strip() for name, value in values.items())
    assert headers.metadata(",".join(pairs)) == values


@given(st.text(max_size=60))
def test_headers_that_nobody_wrote_are_read_or_refused(text: str) -> None:
    for read in (headers.metadata, headers.checksum, lambda given: headers.whole_number("Upload-Length", given)):
        try:
            read(text)
        except Invalid as refused:
            assert refused.field in {"Upload-Metadata", "Upload-Checksum", "Upload-Length"}
