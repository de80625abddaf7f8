"""Uploads: stored under server-made ids, whole or absent, within the limits; versions and their life."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from models_admin.models import AuditEvent, Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import artifacts, deletions, models, versions
from models_admin.services.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NoSpace,
    PreconditionFailed,
    TooLarge,
    Unprocessable,
)
from tests.integration.control.conftest import ANN, BOB, SIGNATURE, files, make_ready, upload, weights
from tests.unit.inspection.archives import torchscript

pytestmark = pytest.mark.django_db


def test_an_upload_is_stored_under_a_server_made_id_with_its_digest(model: Model, store: Path) -> None:
    version = upload(model, filename="../../etc/passwd")
    path = artifact_path(version)
    assert path.parent == store
    assert path.read_bytes() == weights()
    assert version.digest == hashlib.sha256(weights()).hexdigest()
    assert version.size_bytes == len(weights())
    assert (version.number, version.state, version.format) == (1, "uploaded", "safetensors")
    assert files(store) == [path.name]
    assert AuditEvent.objects.filter(action="version.create", object_id="net/1").count() == 1
    assert [step.status for step in version.steps.all()] == ["pending"] * 7


@pytest.mark.parametrize("name", ["a\x00b", "a\nb", "x" * 10_000, "\u202egpj.exe", "..", "\U0001f600", "<b>", ""])
def test_u19_file_names_are_kept_as_text_only(model: Model, store: Path, name: str) -> None:
    version = upload(model, filename=name)
    assert len(version.original_filename) <= 255
    assert not set(version.original_filename) & set("\x00\n\u202e")
    assert files(store) == [f"{version.artifact_id.hex}.safetensors"]


def test_u20_another_digest_than_declared_is_refused_and_the_file_removed(model: Model, store: Path) -> None:
    with pytest.raises(Unprocessable) as caught:
        upload(model, sha256="0" * 64)
    assert caught.value.field == "sha256"
    assert files(store) == []
    assert upload(model, sha256=hashlib.sha256(weights()).hexdigest().upper()).number == 1


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"hello"])
def test_u01_refused_content_leaves_no_file_and_no_row(model: Model, store: Path, content: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        upload(model, file=io.BytesIO(content))
    assert caught.value.field == "file"
    assert files(store) == []
    assert not ModelVersion.objects.exists()


def test_u02_code_needs_the_right_to_upload_code(model: Model, store: Path) -> None:
    content = torchscript().build()
    with pytest.raises(Forbidden):
        upload(model, actor=BOB, file=io.BytesIO(content))
    assert files(store) == []
    assert upload(model, actor=BOB).format == "safetensors"
    assert upload(model, actor=ANN, file=io.BytesIO(content)).format == "torchscript"


def test_an_upload_at_the_limit_passes_and_one_byte_more_does_not(model: Model, store: Path, settings: Any) -> None:
    settings.DLPROXY_MAX_UPLOAD_BYTES = len(weights())
    upload(model)
    settings.DLPROXY_MAX_UPLOAD_BYTES = len(weights()) - 1
    with pytest.raises(TooLarge):
        upload(model)
    assert len(files(store)) == 1


def test_f16_a_full_disk_refuses_the_upload_and_leaves_nothing(model: Model, store: Path, settings: Any) -> None:
    settings.DLPROXY_MIN_FREE_BYTES = 2**62
    with pytest.raises(NoSpace):
        upload(model)
    assert files(store) == []


class FailingFile:
    """A client whose upload ends in the middle, or a disk that fills at this point."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.first = True

    def read(self, _size: int) -> bytes:
        if self.first:
            self.first = False
            return weights()[:10]
        raise self.error


def test_f16_a_disk_that_fills_while_writing_is_no_space(model: Model, store: Path) -> None:
    with pytest.raises(NoSpace):
        upload(model, file=FailingFile(OSError(errno.ENOSPC, "No space left on device")))
    assert files(store) == []


def test_u26_an_aborted_upload_leaves_nothing(model: Model, store: Path) -> None:
    for error in (ConnectionResetError(), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            upload(model, file=FailingFile(error))
    assert files(store) == []


def test_u27_all_artifacts_together_stay_within_the_quota(model: Model, store: Path, settings: Any) -> None:
    settings.DLPROXY_MAX_STORAGE_BYTES = 2 * len(weights())
    upload(model)
    upload(model)
    with pytest.raises(NoSpace):
        upload(model)
    assert len(files(store)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_fault_after_the_commit_fails_no_change_and_loses_no_file(
    monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    def fault(*_: Any, **__: Any) -> None:
        raise RuntimeError("Event loop is closed")

    model = models.create_model(actor=ANN, name="net")
    monkeypatch.setattr("models_admin.services.versions.current_app.send_task", fault)
    version = upload(model)
    assert artifact_path(version).exists()
    assert ModelVersion.objects.get().state == VersionState.UPLOADED
    monkeypatch.setattr("proxy.gateway.configuration_changed", fault)
    deletions.delete_version(actor=ANN, version=version)
    deletions.remove_version(actor=ANN, version=version)
    assert not ModelVersion.with_deleted.exists()
    assert files(store) == []


@pytest.mark.django_db(transaction=True)
def test_u27_of_two_at_once_only_one_fits_the_quota(model: Model, store: Path, settings: Any) -> None:
    settings.DLPROXY_MAX_STORAGE_BYTES = 2 * len(weights()) - 1
    assert sorted(in_parallel(lambda: upload(model))) == ["NoSpace", "ok"]
    assert len(files(store)) == 1


@pytest.mark.django_db(transaction=True)
def test_u27_of_two_at_once_to_two_models_only_one_fits_the_quota(
    store: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DLPROXY_MAX_STORAGE_BYTES = 2 * len(weights()) - 1
    targets = [models.create_model(actor=ANN, name=name) for name in ("one", "two")]
    both_are_past_the_check = threading.Barrier(2)

    def check_slowly(row: Any) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both_are_past_the_check.wait(0.3)

    monkeypatch.setattr("models_admin.services.versions.writing.check_except_unique", check_slowly)
    assert sorted(in_parallel(lambda: upload(targets.pop()))) == ["NoSpace", "ok"]


@pytest.mark.django_db(transaction=True)
def test_u24_of_two_uploads_of_one_number_the_second_is_a_conflict(model: Model, store: Path) -> None:
    assert sorted(in_parallel(lambda: upload(model, number=5))) == ["Conflict", "ok"]
    assert len(files(store)) == 1
    assert ModelVersion.objects.get().number == 5


@pytest.mark.django_db(transaction=True)
def test_two_uploads_without_a_number_get_two(model: Model) -> None:
    assert in_parallel(lambda: upload(model)) == ["ok", "ok"]
    assert sorted(ModelVersion.objects.values_list("number", flat=True)) == [1, 2]


def in_parallel(act: Any) -> list[str]:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait()
        try:
            act()
            outcomes.append("ok")
        except (Conflict, NoSpace) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_f18_orphans_are_swept_when_old_and_artifacts_stay(model: Model, store: Path) -> None:
    version = upload(model)
    for name in ("0" * 32 + ".pt", "incoming/1.part"):
        (store / name).write_bytes(b"x")
    now_s = (store / "incoming" / "1.part").stat().st_ctime
    assert artifacts.sweep_orphans(now_s + artifacts.ORPHAN_AGE_S - 1) == 0
    assert artifacts.sweep_orphans(now_s + artifacts.ORPHAN_AGE_S + 1) == 2
    assert files(store) == [artifact_path(version).name]


def test_f18_the_order_is_flush_then_rename_then_flush_the_folder(
    model: Model, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power loss may not reorder; the rename is seen by the folder's content at each flush."""
    seen: list[list[str]] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append([Path(name).suffix for name in files(store)])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    upload(model)
    assert seen == [[".part"], [".safetensors"]]


@pytest.mark.parametrize("number", [0, -1, 2**31, True, 1.5, "1"])
def test_numbers_that_are_none_are_refused(model: Model, store: Path, number: Any) -> None:
    with pytest.raises(Invalid):
        upload(model, number=number)
    assert files(store) == []


def test_only_a_ready_version_is_promoted(model: Model) -> None:
    version = upload(model)
    for state in (VersionState.UPLOADED, VersionState.VALIDATING, VersionState.FAILED, VersionState.ARCHIVED):
        ModelVersion.objects.filter(pk=version.pk).update(state=state)
        with pytest.raises(Conflict):
            versions.promote(actor=ANN, version=version)
    model.refresh_from_db()
    assert model.default_version is None


def test_a12_the_default_version_is_neither_archived_deleted_nor_validated_anew(ready: ModelVersion) -> None:
    for change in (versions.archive, deletions.delete_version, versions.revalidate):
        with pytest.raises(Conflict) as caught:
            change(actor=ANN, version=ready)
        assert caught.value.code == "in_use"


def test_a11_a_version_kept_loaded_is_not_deleted(model: Model, ready: ModelVersion) -> None:
    other = make_ready(upload(model, 2.0))
    versions.set_keep_loaded(actor=ANN, version=other, keep=True)
    with pytest.raises(Conflict):
        deletions.delete_version(actor=ANN, version=other)
    versions.set_keep_loaded(actor=ANN, version=other, keep=False)
    deletions.delete_version(actor=ANN, version=other)
    assert ModelVersion.objects.count() == 1


def test_archive_and_restore_go_back_and_forth(model: Model, ready: ModelVersion) -> None:
    other = make_ready(upload(model, 2.0))
    versions.archive(actor=ANN, version=other)
    with pytest.raises(Conflict):
        versions.promote(actor=ANN, version=other)
    versions.restore(actor=ANN, version=other)
    assert versions.promote(actor=ANN, version=other).state == VersionState.READY
    with pytest.raises(Conflict):
        versions.restore(actor=ANN, version=other)


def test_a_stale_revision_is_refused(ready: ModelVersion) -> None:
    versions.update_version(actor=ANN, version=ready, expected_revision=ready.revision, notes="new")
    with pytest.raises(PreconditionFailed):
        versions.update_version(actor=ANN, version=ready, expected_revision=ready.revision, notes="newer")


def test_a_version_validated_anew_waits_with_fresh_steps(model: Model) -> None:
    version = upload(model)
    ModelVersion.objects.filter(pk=version.pk).update(state=VersionState.FAILED, validation_attempts=3)
    version.steps.update(status="failed")
    row = versions.revalidate(actor=ANN, version=version)
    assert (row.state, row.validation_attempts) == (VersionState.UPLOADED, 0)
    assert {step.status for step in row.steps.all()} == {"pending"}


@pytest.mark.parametrize(
    "changes",
    [
        {"declared_signature": []},
        {"declared_signature": {"inputs": []}},
        {"declared_signature": {**SIGNATURE, "more": 1}},
        {"declared_signature": {**SIGNATURE, "inputs": [{"name": "x", "datatype": "FP8", "shape": [-1]}]}},
        {"declared_signature": {**SIGNATURE, "inputs": [{"name": "x", "datatype": "FP32", "shape": [0]}]}},
        {"declared_signature": {**SIGNATURE, "inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2]}]}},
        {"declared_signature": {**SIGNATURE, "inputs": [{"name": "", "datatype": "FP32", "shape": [-1]}]}},
        {"declared_signature": {**SIGNATURE, "inputs": [{"name": "x", "datatype": [], "shape": [-1]}]}},
        {"declared_signature": {**SIGNATURE, "inputs": SIGNATURE["inputs"] * 2}},
        {"options": {"unknown": "x"}},
        {"options": {"method": 1}},
        {"options": {"method": "a.b"}},
        {"options": []},
        {"stateful": True},
        {"stateful": True, "batchable": False, "cacheable": False},
        {"stateful": True, "batchable": False, "options": {"reset_method": "reset"}},
    ],
)
def test_declarations_that_make_no_sense_are_refused_before_the_file_is_read(
    model: Model, store: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(Invalid) as caught:
        upload(model, file=FailingFile(AssertionError("the file was read")), **changes)
    assert caught.value.field in {"declared_signature", "options", "batchable", "cacheable"}
