"""Reading members of an archive whose directory was accepted: checksums of all, bytes of small ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from models_admin.inspection.outcome import Refused
from models_admin.inspection.zip_directory import DEFLATED, Member

CHUNK_BYTES = 1_048_576


def verify(file: BinaryIO, members: list[Member]) -> None:
    """Read every member once and compare size and CRC-32; raises Refused at the first that differs."""
    for member in members:
        crc32 = size_bytes = 0
        for chunk in _plain_chunks(file, member):
            crc32 = zlib.crc32(chunk, crc32)
            size_bytes += len(chunk)
        if crc32 != member.crc32 or size_bytes != member.size_bytes:
            raise _damaged(member)


def read_small(file: BinaryIO, member: Member, max_bytes: int) -> bytes:
    """The bytes of one small member."""
    if member.size_bytes > max_bytes:
        raise Refused(f"Member {member.name!r} is larger than expected.", "zip_member_size")
    return b"".join(_plain_chunks(file, member))


def _plain_chunks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """The member's uncompressed bytes in pieces of at most CHUNK_BYTES."""
    raw_chunks = _raw_chunks(file, member)
    return _inflated(raw_chunks, member) if member.method == DEFLATED else raw_chunks


def _raw_chunks(file: BinaryIO, member: Member) -> Iterator[bytes]:
    file.seek(member.data_offset)
    left = member.compressed_bytes
    while left:
        raw = file.read(min(CHUNK_BYTES, left))
        if not raw:
            raise _damaged(member)
        left -= len(raw)
        yield raw


def _inflated(raw_chunks: Iterator[bytes], member: Member) -> Iterator[bytes]:
    """Inflate piece by piece; ends as soon as more than the declared size comes out."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    produced = 0
    for chunk in raw_chunks:
        raw = chunk
        while raw:
            try:
                plain = inflater.decompress(raw, CHUNK_BYTES)
            except zlib.error:
                raise _damaged(member) from None
            produced += len(plain)
            if produced > member.size_bytes or inflater.unused_data:
                raise _damaged(member)
            raw = inflater.unconsumed_tail
            yield plain
    if not inflater.eof:
        raise _damaged(member)


def _damaged(member: Member) -> Refused:
    return Refused(
        f"Member {member.name[:80]!r} is damaged (its checksum or size is wrong). Send the file again.", "zip_crc"
    )
