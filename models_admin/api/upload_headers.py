"""The headers of tus 1.0.0 as values. Pure; a bad one is Invalid with the header's name as its field.

Source: https://tus.io/protocols/resumable-upload (1.0.0): core, creation, expiration, checksum, termination.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from django.utils.translation import gettext as _

from models_admin.services.errors import ChecksumMismatch, Invalid, PreconditionFailed

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256")
"""SHA-1 because the protocol asks for it; it only tells damaged bytes from whole ones."""
MAX_DIGITS = 15
MAX_METADATA_CHARACTERS = 100_000


class Checksum(NamedTuple):
    """What the bytes of one request are said to be."""

    algorithm: str
    digest: bytes


def check_version(given: str | None) -> None:
    """PreconditionFailed unless the caller speaks this version of the protocol."""
    if given != VERSION:
        raise PreconditionFailed(
            _("Send Tus-Resumable: %(version)s; it is the version that this server speaks.") % {"version": VERSION},
            field="Tus-Resumable",
            code="tus_version",
        )


def whole_number(name: str, given: str | None) -> int:
    """A length or offset in bytes."""
    if given is None or not (given.isascii() and given.isdecimal()) or len(given) > MAX_DIGITS:
        raise Invalid(_("%(name)s: give a whole number of bytes, 0 or more.") % {"name": name}, field=name)
    return int(given)


def metadata(given: str | None) -> dict[str, str]:
    """`Upload-Metadata`: names, each with its value in Base64 behind a space, separated by commas."""
    if not given:
        return {}
    if len(given) > MAX_METADATA_CHARACTERS:
        raise _bad_metadata(_("it may have %(most)s characters.") % {"most": MAX_METADATA_CHARACTERS})
    found: dict[str, str] = {}
    for pair in given.split(","):
        name, _space, encoded = pair.strip().partition(" ")
        if not name or not name.isascii() or name in found:
            raise _bad_metadata(_("each name stands once, in ASCII, and is not empty."))
        found[name] = _decoded(name, encoded)
    return found


def checksum(given: str | None) -> Checksum | None:
    """`Upload-Checksum`: an algorithm, and behind a space the digest in Base64."""
    if given is None:
        return None
    algorithm, _space, encoded = given.partition(" ")
    if algorithm not in ALGORITHMS:
        raise _bad_checksum(_("the algorithm is one of %(names)s.") % {"names": ", ".join(ALGORITHMS)})
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise _bad_checksum(_("behind the algorithm stands the digest in Base64."))
    return Checksum(algorithm, digest)


def verify(data: bytes, wanted: Checksum) -> None:
    """ChecksumMismatch unless these are the bytes that were sent."""
    if hashlib.new(wanted.algorithm, data, usedforsecurity=False).digest() != wanted.digest:
        raise ChecksumMismatch(
            _("These bytes do not match their checksum, so none of them was kept. Send them again."),
            field="Upload-Checksum",
        )


def rules(most_bytes: int) -> Mapping[str, str]:
    """What an OPTIONS request is told: version, extensions, algorithms, the longest upload."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        "Tus-Max-Size": str(most_bytes),
    }


def _decoded(name: str, encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise _bad_metadata(_("the value of %(name)s is not UTF-8 in Base64.") % {"name": f"{name:.60}"}) from None


def _bad_metadata(why: str) -> Invalid:
    return Invalid(f"Upload-Metadata: {why}", field="Upload-Metadata")


def _bad_checksum(why: str) -> Invalid:
    return Invalid(f"Upload-Checksum: {why}", field="Upload-Checksum")
