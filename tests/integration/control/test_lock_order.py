"""The model's row is locked before what belongs to it, so that no two changes of a model wait for each other."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from models_admin.models import Model, ModelVersion, Upload
from models_admin.services import deletions, uploads, writing
from models_admin.services.errors import NotFound
from tests.integration.control.conftest import ANN, files, weights

HANG_S = 120
content = weights()


def begun(model: Model) -> Upload:
    row = uploads.begin(
        actor=ANN, owner="user:1", model=model, size_bytes=len(content), metadata="", declared={"batchable": True}
    )
    uploads.append(actor=ANN, upload=row, offset=0, chunks=[content[:-1]])
    return row


def at_once(errors: list[Any], *calls: Callable[[], None]) -> None:
    """Each in a thread of its own; what they raise is added to `errors`."""

    def keep(call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=keep, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)


@pytest.mark.django_db(transaction=True)
def test_a_deleted_models_upload_ends_while_the_model_is_removed(
    model: Model, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal has the model and wants the upload; what ends the upload must not have that and want the model.

    Only a database with locks of rows can show it: SQLite lets one writer in at a time.
    """
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no locks of rows")
    upload = begun(model)
    deletions.delete_model(actor=ANN, model=model)
    removing, wants_model = threading.Event(), threading.Event()
    real_paths, real_lock = deletions._paths, writing.lock
    ends: list[Any] = []

    def paths(rows: Any) -> Any:
        """The removal has locked the model."""
        removing.set()
        assert wants_model.wait(HANG_S)
        return real_paths(rows)

    def lock(row: Any, *revision: Any) -> Any:
        if isinstance(row, Model):
            wants_model.set()
        return real_lock(row, *revision)

    monkeypatch.setattr(deletions, "_paths", paths)
    monkeypatch.setattr(writing, "lock", lock)

    def remove() -> None:
        deletions.remove_model(actor=ANN, model=model)
        ends.append("removed")

    def finish() -> None:
        assert removing.wait(HANG_S)
        uploads.append(actor=ANN, upload=upload, offset=len(content) - 1, chunks=[content[-1:]])

    at_once(ends, remove, finish)
    assert "removed" in ends, ends
    assert [type(end) for end in ends if end != "removed"] == [NotFound]
    assert not Upload.objects.exists()
    assert not ModelVersion.with_deleted.exists()
    assert files(store) == []


@pytest.mark.django_db
def test_uploads_that_ended_long_ago_are_forgotten_one_by_one(model: Model, store: Path) -> None:
    rows = [begun(model) for _ in range(3)]
    for row in rows:
        uploads.append(actor=ANN, upload=row, offset=len(content) - 1, chunks=io.BytesIO(content[-1:]))
    assert uploads.expire(now=timezone.now() + 2 * uploads.KEPT) == 3
    assert not Upload.objects.exists()
    assert ModelVersion.objects.count() == 3
