"""Uploads in pieces: where their bytes lie, how many are here, until when they are kept, and whose they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from models_admin.models import Model, Upload
from models_admin.selectors.artifacts import SUFFIXES, path_for

KEPT = timedelta(hours=24)
"""From the last byte that came, and from its end for an upload that has ended. Larger: more of the disk is held."""


def part_path(upload_id: UUID) -> Path:
    """Where an upload's bytes are received."""
    return Path(settings.DLPROXY_ARTIFACTS_DIR) / "incoming" / f"{upload_id.hex}.part"


def every_path(upload_id: UUID) -> list[Path]:
    """Every place where they may lie: a crash between the move and the version's row leaves them in the last place."""
    return [part_path(upload_id), *(path_for(upload_id, artifact_format) for artifact_format in SUFFIXES)]


def held_path(upload_id: UUID) -> Path | None:
    """Where they lie now, or None if they are gone."""
    return next((path for path in every_path(upload_id) if path.is_file()), None)


def received_bytes(upload: Upload) -> int:
    """How many bytes are here: all of them once it has ended, else what is on disk."""
    if upload.ended_at is not None:
        return upload.size_bytes
    status = _status(upload.pk)
    return status.st_size if status is not None else 0


def expires_at(upload: Upload) -> datetime:
    """When it is forgotten."""
    if upload.ended_at is not None:
        return upload.ended_at + KEPT
    status = _status(upload.pk)
    came_at = datetime.fromtimestamp(status.st_mtime, UTC) if status is not None else upload.created_at
    return max(upload.created_at, came_at) + KEPT


def _status(upload_id: UUID) -> os.stat_result | None:
    path = held_path(upload_id)
    try:
        return path.stat() if path is not None else None
    except FileNotFoundError:  # it ended just now
        return None


def open_uploads() -> QuerySet[Upload]:
    """Those that have not ended."""
    return Upload.objects.filter(ended_at=None)


def uploads_of(owner: str, model: Model) -> QuerySet[Upload]:
    """What this caller sends, and sent lately, to a model."""
    return Upload.objects.filter(owner=owner, model=model).select_related("model", "version")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload that its caller may go on with."""

    upload: Upload
    received_bytes: int

    @property
    def ratio(self) -> float:
        """How much of it is here, 0 to 1."""
        return self.received_bytes / self.upload.size_bytes


def unfinished_uploads(owner: str, model: Model) -> list[Unfinished]:
    """What a caller began to send to a model and has not finished, oldest first."""
    now = timezone.now()
    mine = uploads_of(owner, model).filter(ended_at=None)
    return [Unfinished(upload, received_bytes(upload)) for upload in mine if expires_at(upload) > now]


def find_upload(owner: str, upload_id: UUID) -> Upload | None:
    """The caller's own upload; None for one that is another's, which looks like none at all."""
    return Upload.objects.filter(owner=owner, pk=upload_id).select_related("model", "version").first()
