"""Artifacts on disk: received aside, hashed while written, flushed, inspected, then renamed to a server-made id.

Rules: order is write aside → fsync file → rename → fsync folder → commit row, so that after a power loss an artifact is
whole or absent; whatever has no row is an orphan and goes with the sweep. A client's file name never becomes a path.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import Sum
from django.utils.translation import gettext as _

from models_admin.inspection import Inspection, Refused, inspect
from models_admin.models import ConfigurationGeneration, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors.artifacts import golden_path, golden_paths, path_for
from models_admin.selectors.uploads import every_path, open_uploads
from models_admin.services.errors import Invalid, NoSpace, TooLarge, Unprocessable

log = logging.getLogger(__name__)

CHUNK_BYTES = 1_048_576
ORPHAN_AGE_S = 3_600
"""Files younger than this may belong to an upload in progress, whose row is not committed yet."""
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """An artifact in its final place, not yet named by any row."""

    artifact_id: UUID
    path: Path
    digest: str
    size_bytes: int
    inspection: Inspection
    came_from: Path | None = None
    """Where it lay before, if it came in pieces: there it goes back to when no row could be written."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file that came in pieces: whole, flushed, hashed and inspected, and not in its final place."""

    artifact_id: UUID
    path: Path
    digest: str
    size_bytes: int
    inspection: Inspection


def look_into(path: Path, artifact_id: UUID, digest: str, expected_sha256: str | None) -> Received:
    """A file that came in pieces, if its hash and content are good; as `store` raises, else FileNotFoundError.

    Reads the whole file, so not inside a transaction: SQLite lets nobody else write meanwhile.
    """
    _compare(digest, expected_sha256)
    return Received(artifact_id, path, digest, path.stat().st_size, _inspect(path))


def store(file: BinaryIO | Received | Any, *, expected_sha256: str | None = None) -> StoredArtifact:
    """Receive `file` (anything with read(n)), check its hash and content, and put it in its final place.

    Raises TooLarge, NoSpace, Unprocessable (hash) or Invalid (content); then nothing is left behind, except that a file
    which came in pieces lies where it lay.
    """
    if isinstance(file, Received):
        return _adopt(file, expected_sha256)
    artifact_id = uuid4()
    folder = Path(settings.DLPROXY_ARTIFACTS_DIR)
    aside = folder / "incoming" / f"{artifact_id.hex}.part"
    try:
        digest, size_bytes = _receive(file, aside)
        _compare(digest, expected_sha256)
        inspection = _inspect(aside)
        final = path_for(artifact_id, inspection.format)
        aside.rename(final)
        sync_folder(folder)
    except OSError as error:
        aside.unlink(missing_ok=True)
        if error.errno in FULL_DISK:
            raise no_space() from error
        raise
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return StoredArtifact(artifact_id, final, digest, size_bytes, inspection)


def discard(stored: StoredArtifact) -> None:
    """Remove an artifact for which no row could be written; one that came in pieces goes back to where it lay."""
    if stored.came_from is not None:
        stored.path.rename(stored.came_from)
    else:
        stored.path.unlink(missing_ok=True)


def check_quota(size_bytes: int) -> None:
    """NoSpace if everything kept would with this one exceed DLPROXY_MAX_STORAGE_BYTES (0: only the disk is the limit).

    Counted are the artifacts, those of deleted versions among them, and what open uploads have declared. Called inside
    the transaction that writes the row, after the row lock, so that two uploads cannot both fit.
    """
    limit = settings.DLPROXY_MAX_STORAGE_BYTES
    if not limit:
        return
    # One at a time whichever model it is for: each must see what the one before it wrote.
    list(ConfigurationGeneration.objects.select_for_update().values_list("pk"))
    kept = ModelVersion.with_deleted.aggregate(total=Sum("size_bytes"))["total"] or 0
    coming = open_uploads().aggregate(total=Sum("size_bytes"))["total"] or 0
    if kept + coming + size_bytes > limit:
        raise NoSpace(
            _(
                "All artifacts together may hold %(limit)s bytes; %(used)s are used and this one has "
                "%(size_bytes)s. Delete versions that are no longer needed."
            )
            % {"limit": limit, "used": kept + coming, "size_bytes": size_bytes},
            field="file",
        )


def check_size(size_bytes: int) -> None:
    """TooLarge above DLPROXY_MAX_UPLOAD_BYTES, Invalid for an empty file."""
    limit = settings.DLPROXY_MAX_UPLOAD_BYTES
    if size_bytes > limit:
        raise TooLarge(
            _("A file may have at most %(limit)s bytes (DLPROXY_MAX_UPLOAD_BYTES).") % {"limit": limit}, field="file"
        )
    if size_bytes == 0:
        raise Invalid(_("The file is empty."), field="file", code="empty")


def check_disk(size_bytes: int) -> None:
    """NoSpace if so many bytes more would leave less than DLPROXY_MIN_FREE_BYTES on the artifacts' disk."""
    if shutil.disk_usage(settings.DLPROXY_ARTIFACTS_DIR).free < settings.DLPROXY_MIN_FREE_BYTES + size_bytes:
        raise no_space()


def sweep_orphans(now_s: float | None = None) -> int:
    """Remove files that no row names and that are older than ORPHAN_AGE_S; the number of removed files."""
    now = time.time() if now_s is None else now_s
    folder = Path(settings.DLPROXY_ARTIFACTS_DIR)
    removed = 0
    candidates = [path for path in _files(folder) if _age_s(path, now) > ORPHAN_AGE_S]
    # Read after the listing: a row committed meanwhile belongs to a file that is in neither or in both.
    known = {
        path_for(artifact_id, artifact_format)
        for artifact_id, artifact_format in ModelVersion.with_deleted.values_list("artifact_id", "format")
    }
    # Instances that were loaded with earlier samples read those again when they are restarted.
    known |= {
        path
        for version in ModelVersion.with_deleted.only("artifact_id", "state", "golden_digest")
        for path in golden_paths(version.artifact_id)
        if version.state == VersionState.READY or path == golden_path(version)
    }
    known |= {path for pk in open_uploads().values_list("pk", flat=True) for path in every_path(pk)}
    for path in candidates:
        if path not in known:
            path.unlink(missing_ok=True)
            removed += 1
            log.info("An orphaned file was removed: %s", path.name)
    return removed


def _receive(file: BinaryIO | Any, aside: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    size_bytes = 0
    with aside.open("xb") as target:
        for chunk in _chunks(file):
            size_bytes += len(chunk)
            check_size(size_bytes)
            check_disk(len(chunk))
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    check_size(size_bytes)
    return digest.hexdigest(), size_bytes


def _adopt(received: Received, expected_sha256: str | None) -> StoredArtifact:
    _compare(received.digest, expected_sha256)
    final = path_for(received.artifact_id, received.inspection.format)
    received.path.rename(final)
    sync_folder(final.parent)
    return StoredArtifact(
        received.artifact_id, final, received.digest, received.size_bytes, received.inspection, came_from=received.path
    )


def _compare(digest: str, expected_sha256: str | None) -> None:
    if expected_sha256 is not None and expected_sha256.strip().lower() != digest:
        raise Unprocessable(
            _("The file arrived with SHA-256 %(digest)s, which is not the declared one. Send it again.")
            % {"digest": digest},
            field="sha256",
            code="digest_mismatch",
        )


def _chunks(file: BinaryIO | Any) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _inspect(path: Path) -> Inspection:
    try:
        return inspect(path)
    except Refused as refusal:
        raise Invalid(str(refusal), field="file", code=refusal.code) from refusal


def no_space() -> NoSpace:
    """The refusal for a full disk."""
    return NoSpace(_("The disk is full: the upload was dropped and nothing else changed."), field="file")


def sync_folder(folder: Path) -> None:
    """Flush a folder: what was made or moved in it stays so after a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> list[Path]:
    return [
        path for place in (folder, folder / "incoming") if place.is_dir() for path in place.iterdir() if path.is_file()
    ]


def _age_s(path: Path, now_s: float) -> float:
    try:
        status = path.stat()
    except FileNotFoundError:
        return 0.0
    return now_s - max(status.st_mtime, status.st_ctime)
