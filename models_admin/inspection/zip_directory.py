"""A zip archive's directory, read strictly: what two readers could understand differently is refused.

Rules: the end record closes the file; members lie one after another without overlap; each member's local header agrees
with the directory; names are relative, plain and unique; no links, encryption or exotic compression; counts and sizes
have caps that are checked before anything of that size is read.

Source: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16 (end records).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from models_admin.inspection.outcome import Refused

END, END_SIGNATURE = struct.Struct("<4s4H2LH"), b"PK\x05\x06"
LOCATOR, LOCATOR_SIGNATURE = struct.Struct("<4sLQL"), b"PK\x06\x07"
END64, END64_SIGNATURE = struct.Struct("<4sQ2H2L4Q"), b"PK\x06\x06"
CENTRAL, CENTRAL_SIGNATURE = struct.Struct("<4s6H3L5H2L"), b"PK\x01\x02"
LOCAL, LOCAL_SIGNATURE = struct.Struct("<4s5H3L2H"), b"PK\x03\x04"

MAX_MEMBERS = 20_000
"""Members of one archive. torch writes one per tensor: the largest models that fit one machine have a few thousand."""
MAX_DIRECTORY_BYTES = 16 * 1_048_576
MAX_NAME_BYTES = 1_024
MAX_RATIO = 1_000
"""Uncompressed over compressed size of one member; deflate itself cannot exceed 1,032."""
MAX_COMPRESSED_MEMBER_BYTES = 64 * 1_048_576
"""Uncompressed size of a deflated member. torch deflates source text only; tensors are stored as they are."""
MAX_INFLATED_BYTES = 256 * 1_048_576
"""Uncompressed size of all deflated members together."""
STORED, DEFLATED = 0, 8
FLAG_ENCRYPTED, FLAG_DESCRIPTOR, FLAG_STRONG, FLAG_MASKED = 0x1, 0x8, 0x40, 0x2000
UNIX_TYPE_MASK, UNIX_REGULAR, UNIX_FOLDER = 0o170000, 0o100000, 0o040000
ZIP64_TAG = 1
ALL_32, ALL_16 = 0xFFFFFFFF, 0xFFFF


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive: its bytes are `[data_offset, data_offset + compressed_bytes)`."""

    name: str
    method: int
    flags: int
    crc32: int
    compressed_bytes: int
    size_bytes: int
    header_offset: int
    data_offset: int


def read_directory(file: BinaryIO, file_bytes: int) -> list[Member]:
    """Every member in the order of the directory; raises Refused at the first thing that is not plain."""
    count, directory_bytes, directory_offset = _end_records(file, file_bytes)
    if count > MAX_MEMBERS:
        raise Refused(f"The archive has {count} members; at most {MAX_MEMBERS} are allowed.", "zip_members")
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise Refused("The archive's directory is larger than any model needs.", "zip_directory")
    file.seek(directory_offset)
    data = file.read(directory_bytes)
    members, position = [], 0
    for _ in range(count):
        member, position = _central_entry(data, position)
        members.append(_with_local_header(file, member, directory_offset))
    if position != len(data):
        raise _torn("the directory's size is false")
    _refuse_duplicates(members)
    _refuse_overlap(members, directory_offset)
    _refuse_bombs(members)
    return members


def _end_records(file: BinaryIO, file_bytes: int) -> tuple[int, int, int]:
    """(members, directory bytes, directory offset); the records must end exactly where the file ends."""
    if file_bytes < END.size:
        raise _torn("it is cut off")
    end_offset = file_bytes - END.size
    file.seek(end_offset)
    signature, disk, first_disk, here, count, size, offset, comment = END.unpack(file.read(END.size))
    if signature != END_SIGNATURE or comment:
        raise Refused(
            "The archive is cut off, or something follows its end. Save the model again and send the file as it is.",
            "zip_trailing",
        )
    if disk or first_disk or here != count:
        raise _torn("it claims to be part of a set")
    directory_end = end_offset
    wide = _zip64_record(file, end_offset)
    if wide is not None:
        record_offset, count64, size64, offset64 = wide
        for narrow, value, limit in ((count, count64, ALL_16), (size, size64, ALL_32), (offset, offset64, ALL_32)):
            if narrow not in (limit, value):
                raise _torn("its two end records disagree")
        count, size, offset, directory_end = count64, size64, offset64, record_offset
    elif count == ALL_16 or ALL_32 in (size, offset):
        raise _torn("its 64-bit end record is missing")
    if offset + size != directory_end:
        raise _torn("the directory's place is false")
    return count, size, offset


def _zip64_record(file: BinaryIO, end_offset: int) -> tuple[int, int, int, int] | None:
    locator_offset = end_offset - LOCATOR.size
    if locator_offset < END64.size:
        return None
    file.seek(locator_offset)
    signature, disk, record_offset, disks = LOCATOR.unpack(file.read(LOCATOR.size))
    if signature != LOCATOR_SIGNATURE:
        return None
    if disk or disks > 1 or record_offset + END64.size != locator_offset:
        raise _torn("its 64-bit end record is not where it should be")
    file.seek(record_offset)
    (signature, size, _made, _needed, this_disk, first_disk, here, count, directory_bytes, directory_offset) = (
        END64.unpack(file.read(END64.size))
    )
    if signature != END64_SIGNATURE or size != END64.size - 12 or this_disk or first_disk or here != count:
        raise _torn("its 64-bit end record is damaged")
    return record_offset, count, directory_bytes, directory_offset


def _central_entry(data: bytes, position: int) -> tuple[Member, int]:
    if position + CENTRAL.size > len(data):
        raise _torn("the directory has fewer members than it claims")
    fields = CENTRAL.unpack_from(data, position)
    (signature, made_by, _needed, flags, method, _time, _date, crc32, compressed, size) = fields[:10]
    (name_bytes, extra_bytes, comment_bytes, disk, _internal, external, offset) = fields[10:]
    start = position + CENTRAL.size
    end = start + name_bytes + extra_bytes + comment_bytes
    if signature != CENTRAL_SIGNATURE or end > len(data) or disk:
        raise _torn("its directory is damaged")
    name = _plain_name(data[start : start + name_bytes])
    _refuse_special(name, made_by, external)
    if flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_MASKED):
        raise Refused("The archive is encrypted. Save the model without a password.", "zip_encrypted")
    if method not in (STORED, DEFLATED):
        raise Refused(f"Member {name!r} is compressed in a way that torch never writes.", "zip_method")
    extra = data[start + name_bytes : start + name_bytes + extra_bytes]
    size, compressed, offset = _wide_sizes(extra, size, compressed, offset)
    if method == STORED and size != compressed:
        raise _torn(f"the sizes of {name!r} disagree")
    return Member(name, method, flags, crc32, compressed, size, offset, 0), end


def _wide_sizes(extra: bytes, size: int, compressed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset with the zip64 field's values where the narrow ones are full; each field exactly once."""
    values = [size, compressed, offset]
    wanted = [i for i, value in enumerate(values) if value == ALL_32]
    found = False
    position = 0
    while position + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, position)
        body = extra[position + 4 : position + 4 + length]
        if tag == ZIP64_TAG:
            if found or len(body) != 8 * len(wanted):
                raise _torn("a 64-bit size is false")
            found = True
            for i, value in zip(wanted, struct.unpack(f"<{len(wanted)}Q", body), strict=True):
                values[i] = value
        position += 4 + length
    if wanted and not found:
        raise _torn("a 64-bit size is missing")
    return values[0], values[1], values[2]


def _plain_name(raw: bytes) -> str:
    if not 0 < len(raw) <= MAX_NAME_BYTES:
        raise _torn("a member has no name, or one that is too long")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _torn("a member's name is not text") from None
    parts = name.rstrip("/").split("/")
    if not name.isprintable() or "\\" in name or ":" in name or any(part in {"", ".", ".."} for part in parts):
        raise Refused(f"Member {name[:80]!r} points outside the archive.", "zip_path")
    return name


def _refuse_special(name: str, made_by: int, external: int) -> None:
    unix_type = (external >> 16) & UNIX_TYPE_MASK
    if unix_type not in (0, UNIX_REGULAR, UNIX_FOLDER):
        raise Refused(f"Member {name[:80]!r} is a link or a device, not a file.", "zip_link")
    del made_by  # the type bits are judged whatever system claims to have written them


def _with_local_header(file: BinaryIO, member: Member, directory_offset: int) -> Member:
    if member.header_offset + LOCAL.size > directory_offset:
        raise _torn(f"{member.name!r} lies outside the archive")
    file.seek(member.header_offset)
    (signature, _needed, flags, method, _time, _date, crc32, compressed, size, name_bytes, extra_bytes) = LOCAL.unpack(
        file.read(LOCAL.size)
    )
    name = file.read(name_bytes)
    if signature != LOCAL_SIGNATURE or name != member.name.encode() or method != member.method:
        raise _torn(f"the two headers of {member.name!r} disagree")
    if (flags ^ member.flags) & (FLAG_ENCRYPTED | FLAG_DESCRIPTOR):
        raise _torn(f"the two headers of {member.name!r} disagree")
    told = (crc32, compressed, size)
    real = (member.crc32, member.compressed_bytes, member.size_bytes)
    later = flags & FLAG_DESCRIPTOR and told == (0, 0, 0)
    wide = all(t in (ALL_32, r) for t, r in zip(told[1:], real[1:], strict=True)) and crc32 in (0, member.crc32)
    if not later and told != real and not wide:
        raise _torn(f"the sizes of {member.name!r} disagree")
    data_offset = member.header_offset + LOCAL.size + name_bytes + extra_bytes
    if data_offset + member.compressed_bytes > directory_offset:
        raise _torn(f"{member.name!r} is longer than the archive")
    return Member(member.name, method, member.flags, member.crc32, *real[1:], member.header_offset, data_offset)


def _refuse_duplicates(members: list[Member]) -> None:
    seen: set[str] = set()
    for member in members:
        folded = member.name.rstrip("/")
        if folded in seen:
            raise Refused(f"Two members have the name {member.name[:80]!r}.", "zip_duplicate")
        seen.add(folded)


def _refuse_overlap(members: list[Member], directory_offset: int) -> None:
    end = 0
    for member in sorted(members, key=lambda m: m.header_offset):
        if member.header_offset < end:
            raise Refused("Members of the archive overlap.", "zip_overlap")
        end = member.data_offset + member.compressed_bytes
    if end > directory_offset:
        raise _torn("a member runs into the directory")


def _refuse_bombs(members: list[Member]) -> None:
    inflated = 0
    for member in members:
        if member.method != DEFLATED:
            continue
        inflated += member.size_bytes
        if (
            member.size_bytes > MAX_COMPRESSED_MEMBER_BYTES
            or inflated > MAX_INFLATED_BYTES
            or member.size_bytes > MAX_RATIO * max(member.compressed_bytes, 1)
        ):
            raise Refused("The archive would expand to more than any model's source text needs.", "zip_bomb")


def _torn(what: str) -> Refused:
    return Refused(f"The archive is damaged: {what}. Save the model again and send the file as it is.", "zip_damaged")
