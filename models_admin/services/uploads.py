"""Uploads in pieces: begun, added to, finished as a version, cancelled, forgotten.

Rules: bytes that were acknowledged are on disk; an upload ends once, as a version or with a refusal, and either is kept
for a day so that a caller whose answer was lost can ask; what only the moment refuses (a full disk, a busy database)
leaves the bytes where they are, to be finished later by a piece of no bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Model, Upload
from models_admin.selectors.uploads import KEPT, expires_at, held_path, open_uploads
from models_admin.services import artifacts, declarations, upload_files, versions, writing
from models_admin.services.actors import Actor, system_actor
from models_admin.services.errors import Conflict, NoSpace, NotFound, ServiceError
from models_admin.services.upload_rules import check_piece

MOST_OPEN = 100
"""Uploads that one caller may have open. Larger: more files of which nobody knows whether they are ever finished."""


def begin(
    *, actor: Actor, owner: str, model: Model, size_bytes: int, metadata: str, declared: dict[str, Any]
) -> Upload:
    """Make room for a file of `size_bytes`; `declared` are the arguments of `versions.create_version`.

    All that can be refused without the bytes is refused here: lengths, limits, declarations, a number that is taken.
    """
    artifacts.check_size(size_bytes)
    artifacts.check_disk(size_bytes)
    _check_declared(model, declared)
    upload = Upload(model=model, owner=owner, size_bytes=size_bytes, metadata=metadata, declared=declared)
    upload_files.make(upload.pk)
    try:
        with transaction.atomic():
            writing.hold(model)
            _check_count(owner)
            artifacts.check_quota(size_bytes)
            upload.save(force_insert=True)
            writing.audit(actor, "upload.begin", "upload", str(upload), size_bytes=size_bytes)
    except BaseException:
        upload_files.remove(upload.pk)
        raise
    return upload


def is_expired(upload: Upload) -> bool:
    """Whether nothing came for so long that nothing is taken any more."""
    return upload.ended_at is None and expires_at(upload) <= timezone.now()


def append(*, actor: Actor, upload: Upload, offset: int, chunks: Iterable[bytes]) -> int:
    """Add a piece; how many bytes are here then. The last piece makes the version, or raises what is wrong with it.

    Conflict for a wrong offset, TooLarge beyond the declared length, Locked while another piece comes in; then nothing
    was added.
    """
    if upload.ended_at is not None:
        return _ended(upload, offset, chunks)
    with upload_files.held(upload.pk) as file:
        upload = _still_there(upload.pk)
        if upload.ended_at is not None:
            return _ended(upload, offset, chunks)
        received = upload_files.append(upload.pk, file, chunks, offset=offset, size_bytes=upload.size_bytes)
        if received == upload.size_bytes:
            _finish(actor, upload, upload_files.digest_of(upload.pk, file))
    return received


def cancel(*, actor: Actor, upload: Upload) -> None:
    """Forget the upload and its bytes. A version that it has become stays."""
    _end(actor, upload, "upload.cancel")


def expire(*, now: datetime) -> int:
    """Forget uploads to which nothing was added for a day, and those that ended a day ago; how many."""
    old = [upload for upload in open_uploads().filter(created_at__lte=now - KEPT) if expires_at(upload) <= now]
    for upload in old:
        _end(system_actor("housekeeping"), upload, "upload.expire")
    ended = list(Upload.objects.filter(ended_at__lte=now - KEPT).values_list("pk", flat=True))
    # One by one: a removal of their model, which deletes several in an order of its own, waits for one at most.
    return len(old) + sum(Upload.objects.filter(pk=key).delete()[0] for key in ended)


def _check_count(owner: str) -> None:
    if open_uploads().filter(owner=owner).count() >= MOST_OPEN:
        raise Conflict(
            _("You have %(most)s unfinished uploads. Finish or cancel some first.") % {"most": MOST_OPEN},
            code="too_many_uploads",
        )


def _check_declared(model: Model, declared: dict[str, Any]) -> None:
    batchable = declared.get("batchable", True)
    flags = {"stateful": declared.get("stateful", False), "cacheable": declared.get("cacheable", True)}
    declarations.check_signature(declared.get("declared_signature"), batchable=batchable)
    options = declarations.check_options(declared.get("options"))
    declarations.check_flags(batchable=batchable, options=options, **flags)
    versions.check_number(model, declared.get("number"))


def _ended(upload: Upload, offset: int, chunks: Iterable[bytes]) -> int:
    """A piece after the end: repeats how it ended if it brings nothing new."""
    check_piece(offset=offset, received=upload.size_bytes, size_bytes=upload.size_bytes, count=sum(map(len, chunks)))
    if upload.refusal is not None:
        raise _as_error(upload.refusal)
    return upload.size_bytes


def _finish(actor: Actor, upload: Upload, digest: str) -> None:
    path = held_path(upload.pk)
    if path is None:
        raise _cancelled()
    try:
        received = artifacts.look_into(path, upload.pk, digest, upload.declared.get("sha256"))
        with transaction.atomic():
            # The model before what belongs to it, as everywhere: its removal would lock the two the other way round.
            model = writing.lock(upload.model)
            # Before the version, so that what it had declared no longer counts beside that.
            if not open_uploads().filter(pk=upload.pk).update(ended_at=timezone.now()):
                raise _cancelled()
            version = versions.create_version(actor=actor, model=model, file=received, **upload.declared)
            Upload.objects.filter(pk=upload.pk).update(version=version)
    except NoSpace:
        raise
    except FileNotFoundError:
        raise _cancelled() from None
    except ServiceError as error:
        _refuse(actor, upload, error)
        raise
    upload_files.digests.forget(upload.pk)


@transaction.atomic
def _refuse(actor: Actor, upload: Upload, error: ServiceError) -> None:
    """The file is no version and never will be: keep the reason, let the bytes go."""
    refusal = {"status": error.status, "code": error.code, "message": error.message, "field": error.field}
    if open_uploads().filter(pk=upload.pk).update(ended_at=timezone.now(), refusal=refusal):
        writing.audit(actor, "upload.refuse", "upload", str(upload), code=error.code)
    transaction.on_commit(lambda: upload_files.remove(upload.pk), robust=True)


@transaction.atomic
def _end(actor: Actor, upload: Upload, action: str) -> None:
    if not open_uploads().filter(pk=upload.pk).delete()[0]:
        Upload.objects.filter(pk=upload.pk).delete()
        return
    writing.audit(actor, action, "upload", str(upload))
    transaction.on_commit(lambda: upload_files.remove(upload.pk), robust=True)


def _still_there(upload_id: UUID) -> Upload:
    fresh = Upload.objects.select_related("model").filter(pk=upload_id).first()
    if fresh is None:
        raise _cancelled()
    return fresh


def _cancelled() -> NotFound:
    return NotFound(_("This upload was cancelled meanwhile."))


def _as_error(refusal: dict[str, Any]) -> ServiceError:
    error = ServiceError(refusal["message"], refusal["field"], refusal["code"])
    error.status = refusal["status"]
    return error
