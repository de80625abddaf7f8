"""Bytes of uploads in pieces: appended by one caller at a time, flushed before they count, hashed on the way.

Rules: a file's size is how much of the upload is here, so what was not flushed, or came with an error, is cut off
again; the lock is the kernel's (flock), so that a process which dies lets go. The running digests are this process'
own: one that is missing, after a restart say, is made anew from the file when it is needed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from typing import Protocol
from uuid import UUID

from django.utils.translation import gettext as _

from models_admin.selectors.uploads import every_path, held_path, part_path
from models_admin.services.artifacts import CHUNK_BYTES, FULL_DISK, check_disk, no_space, sync_folder
from models_admin.services.errors import Locked, NotFound
from models_admin.services.upload_rules import check_piece

MOST_DIGESTS = 256
"""Running digests that are kept. Larger: a few hundred bytes more each; fewer: more files are read again."""


class Digest(Protocol):
    """A SHA-256 under way."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def hexdigest(self) -> str:
        """Of all bytes so far."""

    def copy(self) -> Digest:
        """Another that goes on from here."""


class Digests:
    """The digest of the first so many bytes of the uploads that moved last. For any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[UUID, tuple[int, Digest]] = OrderedDict()

    def at(self, upload_id: UUID, offset: int) -> Digest | None:
        """One of exactly the first `offset` bytes, for the caller to go on with; None if there is none."""
        if offset == 0:
            return hashlib.sha256()
        with self._lock:
            known, digest = self._kept.get(upload_id, (-1, None))
        return digest.copy() if digest is not None and known == offset else None

    def keep(self, upload_id: UUID, offset: int, digest: Digest) -> None:
        """Remember it; the one that moved longest ago goes when there are too many."""
        with self._lock:
            self._kept[upload_id] = (offset, digest)
            self._kept.move_to_end(upload_id)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def forget(self, upload_id: UUID) -> None:
        """It has ended."""
        with self._lock:
            self._kept.pop(upload_id, None)


digests = Digests(MOST_DIGESTS)


def make(upload_id: UUID) -> None:
    """An empty file for the upload, there after a power loss, too."""
    path = part_path(upload_id)
    with path.open("xb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


@contextmanager
def held(upload_id: UUID) -> Iterator[FileIO]:
    """The upload's file, this caller's alone; Locked while another has it, NotFound if it is gone."""
    path = held_path(upload_id)
    try:
        file = FileIO(path, "r+") if path is not None else None
    except FileNotFoundError:  # it ended just now
        file = None
    if file is None:
        raise NotFound(_("This upload has ended; its bytes are gone."))
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(
                _("Another request is sending a piece of this upload. Ask how far it is, then go on from there.")
            ) from None
        yield file


def append(upload_id: UUID, file: FileIO, chunks: Iterable[bytes], *, offset: int, size_bytes: int) -> int:
    """Add the chunks at the end of a held file and flush; how many bytes are here then. All of them, or none."""
    received = os.fstat(file.fileno()).st_size
    check_piece(offset=offset, received=received, size_bytes=size_bytes, count=0)
    digest = digests.at(upload_id, offset)
    file.seek(offset)
    try:
        for chunk in chunks:
            check_piece(offset=received, received=received, size_bytes=size_bytes, count=len(chunk))
            check_disk(len(chunk))
            _write(file, chunk)
            received += len(chunk)
            if digest is not None:
                digest.update(chunk)
        os.fsync(file.fileno())
    except BaseException as error:
        file.truncate(offset)
        if isinstance(error, OSError) and error.errno in FULL_DISK:
            raise no_space() from error
        raise
    if digest is not None:
        digests.keep(upload_id, received, digest)
    return received


def digest_of(upload_id: UUID, file: FileIO) -> str:
    """SHA-256 of the whole held file, hexadecimal; read again only where no running digest is kept."""
    digest = digests.at(upload_id, os.fstat(file.fileno()).st_size)
    if digest is None:
        digest = hashlib.sha256()
        file.seek(0)
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def remove(upload_id: UUID) -> None:
    """Remove the upload's bytes, wherever they lie."""
    digests.forget(upload_id)
    for path in every_path(upload_id):
        path.unlink(missing_ok=True)


def _write(file: FileIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]
