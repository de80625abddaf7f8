"""Builds zip archives by hand, so that each field can be a lie, and the layouts that torch writes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field


@dataclass
class Entry:
    """One member; what is None is computed honestly."""

    name: str | bytes
    data: bytes = b"x"
    local_name: bytes | None = None
    flags: int = 0x800
    method: int = 0
    crc32: int | None = None
    size: int | None = None
    compressed_size: int | None = None
    external: int = 0
    made_by: int = 0
    extra: bytes = b""
    local_extra: bytes = b""
    raw: bytes | None = None
    offset: int | None = None
    local_size: int | None = None


@dataclass
class Archive:
    """An archive of entries; `tail` follows the end record, the overrides replace its fields."""

    entries: list[Entry] = field(default_factory=list)
    tail: bytes = b""
    count: int | None = None
    directory_offset: int | None = None
    zip64: bytes | None = None

    def build(self) -> bytes:
        """The archive's bytes."""
        body, directory = b"", b""
        for entry in self.entries:
            name = entry.name if isinstance(entry.name, bytes) else entry.name.encode()
            packed = entry.raw
            if packed is None:
                packed = entry.data if entry.method != 8 else deflate(entry.data)
            crc = zlib.crc32(entry.data) if entry.crc32 is None else entry.crc32
            size = len(entry.data) if entry.size is None else entry.size
            compressed = len(packed) if entry.compressed_size is None else entry.compressed_size
            local_name = name if entry.local_name is None else entry.local_name
            offset = len(body) if entry.offset is None else entry.offset
            local_size = size if entry.local_size is None else entry.local_size
            body += struct.pack(
                "<4s5H3L2H", b"PK\x03\x04", 20, entry.flags, entry.method, 0, 0, crc,
                min(compressed, 2**32 - 1), min(local_size, 2**32 - 1), len(local_name), len(entry.local_extra),
            ) + local_name + entry.local_extra + packed  # fmt: skip
            directory += struct.pack(
                "<4s6H3L5H2L", b"PK\x01\x02", entry.made_by, 20, entry.flags, entry.method, 0, 0, crc,
                min(compressed, 2**32 - 1), min(size, 2**32 - 1), len(name), len(entry.extra), 0, 0, 0,
                entry.external, offset,
            ) + name + entry.extra  # fmt: skip
        start = len(body) if self.directory_offset is None else self.directory_offset
        count = len(self.entries) if self.count is None else self.count
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), start, 0)
        return body + directory + (self.zip64 or b"") + end + self.tail


def deflate(data: bytes) -> bytes:
    """A raw deflate stream, as in zip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def torchscript(*more: Entry, root: str = "net") -> Archive:
    """The layout of torch.jit.save."""
    return Archive(
        [
            Entry(f"{root}/data.pkl", b"\x80\x02}."),
            Entry(f"{root}/code/__torch__.py", b"class Net(Module):\n" * 40, method=8),
            Entry(f"{root}/constants.pkl", b"\x80\x02)."),
            Entry(f"{root}/version", b"3\n"),
            *more,
        ]
    )


def exported(*more: Entry) -> Archive:
    """The layout of torch.export.save."""
    return Archive(
        [
            Entry("net/archive_format", b"pt2"),
            Entry("net/models/model.json", b"{}"),
            Entry("net/data/weights/weight_0", b"\0" * 8),
            *more,
        ]
    )
