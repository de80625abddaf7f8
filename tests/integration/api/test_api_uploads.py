"""Uploads in pieces over the API (tus 1.0.0): begun, resumed, finished, refused, cancelled, expired."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from api_cast import Caller, Maker
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.utils import timezone

from models_admin import inspection
from models_admin.models import AuditEvent, Model, ModelVersion, Upload
from models_admin.selectors.artifacts import artifact_path
from models_admin.selectors.uploads import part_path
from models_admin.services import artifacts, keys, upload_files, uploads, versions
from models_admin.services.actors import system_actor
from proxy.testing.weight_files import safetensors_file

pytestmark = pytest.mark.django_db

Committed = Any
PIECE = "application/offset+octet-stream"


def weights(value: float = 1.0) -> bytes:
    """A good safetensors file of one layer."""
    return safetensors_file({"w": [64]}, struct.pack("<64f", *[value] * 64))


CONTENT = weights()
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "artifacts"
    (folder / "incoming").mkdir(parents=True)
    settings.DLPROXY_ARTIFACTS_DIR = folder
    yield folder


@pytest.fixture
def committed(django_capture_on_commit_callbacks: Committed) -> Committed:
    """What follows a commit happens when the block ends."""
    return django_capture_on_commit_callbacks


@pytest.fixture
def model(maker: Maker) -> Model:
    return maker.model("net")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def metadata(**values: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())


def begin(caller: Caller, size_bytes: int | str = len(CONTENT), **values: str) -> Any:
    headers = {"Tus_Resumable": "1.0.0", "Upload_Length": str(size_bytes)}
    if values:
        headers["Upload_Metadata"] = metadata(**values)
    return caller("POST", "/models/net/uploads", **headers)


def begun(caller: Caller, size_bytes: int = len(CONTENT), **values: str) -> str:
    """Path of a new upload below /api/v1."""
    answer = begin(caller, size_bytes, **values)
    assert answer.status_code == 201, answer.content
    return str(answer.headers["Location"].removeprefix("/api/v1"))


def send(caller: Caller, path: str, offset: int | str, data: bytes, **headers: str) -> Any:
    named = {"Tus_Resumable": "1.0.0", "Upload_Offset": str(offset), "Content_Type": PIECE, **headers}
    return caller("PATCH", path, data, **named)


def ask(caller: Caller, path: str) -> Any:
    return caller("HEAD", path, Tus_Resumable="1.0.0")


def refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.content
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    return problem


def test_a_file_in_pieces_becomes_a_version_as_one_in_one_request(staff: Caller, model: Model, store: Path) -> None:
    path = begun(staff, filename="net.safetensors", filetype="", sha256=DIGEST.upper(), notes="né", cacheable="false")
    head = ask(staff, path)
    assert (head.status_code, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (
        200,
        "0",
        str(len(CONTENT)),
    )
    assert head.headers["Upload-Metadata"].startswith("filename ")
    assert head.headers["Tus-Resumable"] == "1.0.0"
    assert head.headers["Cache-Control"] == "no-store"
    assert head.headers["Upload-Expires"].endswith("GMT")
    assert head.content == b""
    for begin_at, end in ((0, 100), (100, 101), (101, len(CONTENT))):
        answer = send(staff, path, begin_at, CONTENT[begin_at:end])
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(end))
    version = ModelVersion.objects.get()
    assert (version.number, version.digest, version.original_filename) == (1, DIGEST, "net.safetensors")
    assert (version.notes, version.cacheable, version.uploaded_by) == ("né", False, "user:ann")
    assert artifact_path(version).read_bytes() == CONTENT
    assert files(store) == [artifact_path(version).name]
    shown = staff("GET", path).json()
    assert (shown["state"], shown["version"], shown["offset_bytes"], shown["refusal"]) == (
        "done",
        1,
        len(CONTENT),
        None,
    )
    assert staff("GET", "/models/net/uploads").json()["results"] == [shown]
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"upload.begin", "version.create"} <= actions
    # A caller whose last answer was lost asks how far it is, and may repeat a piece that adds nothing.
    assert ask(staff, path).headers["Upload-Offset"] == str(len(CONTENT))
    assert send(staff, path, len(CONTENT), b"").status_code == 204
    refused(send(staff, path, 100, b"x"), 409, "offset")
    assert ModelVersion.objects.count() == 1


def test_what_is_on_disk_decides_where_an_upload_goes_on_and_the_digest_outlives_the_process(
    staff: Caller, model: Model
) -> None:
    path = begun(staff, sha256=DIGEST)
    assert send(staff, path, 0, CONTENT[:200]).status_code == 204
    upload_files.digests.forget(Upload.objects.get().pk)  # as after a restart
    assert ask(staff, path).headers["Upload-Offset"] == "200"
    assert send(staff, path, 200, CONTENT[200:300]).status_code == 204
    assert send(staff, path, 300, CONTENT[300:]).status_code == 204
    assert ModelVersion.objects.get().digest == DIGEST


@pytest.mark.parametrize("offset", [0, 99, 101, len(CONTENT), 10**14])
def test_u25_an_overlap_or_a_gap_is_a_conflict_and_changes_nothing(staff: Caller, model: Model, offset: int) -> None:
    path = begun(staff)
    send(staff, path, 0, CONTENT[:100])
    problem = refused(send(staff, path, offset, CONTENT[100:]), 409, "offset")
    assert "100 bytes" in problem["detail"]
    assert ask(staff, path).headers["Upload-Offset"] == "100"


def test_u25_bytes_beyond_the_declared_length_are_refused_with_their_piece(staff: Caller, model: Model) -> None:
    path = begun(staff)
    send(staff, path, 0, CONTENT[:100])
    refused(send(staff, path, 100, CONTENT[100:] + b"x"), 413, "too_large")
    assert ask(staff, path).headers["Upload-Offset"] == "100"
    assert send(staff, path, 100, CONTENT[100:]).status_code == 204


def test_u25_an_upload_is_its_callers_alone(staff: Caller, admin: Caller, viewer: Caller, model: Model) -> None:
    path = begun(admin)
    other = User.objects.create_user("bob", password="x", is_staff=True)
    _key, secret = keys.create_key(actor=system_actor("tests"), name="ci", scope="admin")  # of the same name
    for stranger in (staff, Caller(other), Caller(secret=secret)):
        for method in ("GET", "HEAD", "PATCH", "DELETE"):
            headers = {"Upload_Offset": "0", "Content_Type": PIECE}
            answer = stranger(method, path, CONTENT if method == "PATCH" else None, Tus_Resumable="1.0.0", **headers)
            assert answer.status_code == 404, (method, answer.content)
        assert stranger("GET", "/models/net/uploads").json()["results"] == []
    assert send(viewer, path, 0, CONTENT).status_code == 403
    assert begin(viewer).status_code == 403
    assert ask(admin, path).headers["Upload-Offset"] == "0"
    assert len(admin("GET", "/models/net/uploads").json()["results"]) == 1


@pytest.mark.parametrize(("given", "code"), [("", "invalid"), ("x", "invalid"), ("-1", "invalid"), ("1e3", "invalid")])
def test_a_length_that_is_none_is_refused(staff: Caller, model: Model, given: str, code: str) -> None:
    assert "Upload-Length" in refused(begin(staff, given), 400, code)["errors"]


def test_the_declared_length_is_held_against_every_limit_before_a_byte_comes(
    staff: Caller, model: Model, settings: Any, store: Path, committed: Committed
) -> None:
    settings.DLPROXY_MAX_UPLOAD_BYTES = len(CONTENT) - 1
    refused(begin(staff), 413, "too_large")
    settings.DLPROXY_MAX_UPLOAD_BYTES = len(CONTENT)
    refused(begin(staff, 0), 400, "empty")
    settings.DLPROXY_MIN_FREE_BYTES = 2**62
    refused(begin(staff), 507, "no_space")
    settings.DLPROXY_MIN_FREE_BYTES = 0
    # Open uploads count as what they declared, whether or not their bytes are here.
    settings.DLPROXY_MAX_STORAGE_BYTES = 2 * len(CONTENT)
    first, second = begun(staff), begun(staff)
    refused(begin(staff), 507, "no_space")
    refused(staff.upload("/models/net/versions", CONTENT), 507, "no_space")
    # … once: what it becomes does not count beside it.
    assert send(staff, first, 0, CONTENT).status_code == 204
    refused(begin(staff), 507, "no_space")
    with committed(execute=True):
        assert staff("DELETE", second, Tus_Resumable="1.0.0").status_code == 204
    assert begin(staff).status_code == 201
    assert [name for name in files(store) if name.endswith(".part")] == [
        part_path(Upload.objects.latest("created_at").pk).name
    ]


def test_nobody_keeps_more_uploads_open_than_anybody_can_mean(
    staff: Caller, model: Model, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    monkeypatch.setattr(uploads, "MOST_OPEN", 1)
    begun(staff)
    refused(begin(staff), 409, "too_many_uploads")
    assert len(files(store)) == 1


def test_a_declaration_that_makes_no_sense_is_refused_before_the_bytes(staff: Caller, model: Model) -> None:
    assert "unknown" in refused(begin(staff, unknown="x"), 400, "invalid")["errors"]
    assert "sha256" in refused(begin(staff, sha256="abc"), 400, "invalid")["errors"]
    assert "batchable" in refused(begin(staff, stateful="true"), 400, "invalid")["errors"]
    assert staff.upload("/models/net/versions", CONTENT, number="7").status_code == 201
    refused(begin(staff, number="7"), 409, "number_taken")
    for bad in ("number", "filename !", "a YQ==,a YQ==", "a /w==", " YQ==", "é YQ=="):
        headers = {"Tus_Resumable": "1.0.0", "Upload_Length": "5", "Upload_Metadata": bad}
        assert staff("POST", "/models/net/uploads", **headers).status_code == 400, bad
    answer = staff("POST", "/models/net/uploads", b"abc", Tus_Resumable="1.0.0", Upload_Length="3")
    refused(answer, 400, "invalid")
    assert not Upload.objects.exists()


def test_both_must_speak_the_same_protocol(staff: Caller, model: Model) -> None:
    path = begun(staff)
    for method, where in (("POST", "/models/net/uploads"), ("HEAD", path), ("PATCH", path), ("DELETE", path)):
        answer = staff(method, where, Tus_Resumable="0.2.2", Upload_Length="5")
        assert answer.status_code == 412
        assert answer.headers["Tus-Version"] == "1.0.0"
    for where in ("/models/net/uploads", path):
        answer = staff("OPTIONS", where)
        assert answer.status_code == 204
        assert answer.headers["Tus-Extension"] == "creation,expiration,checksum,termination"
        assert answer.headers["Tus-Max-Size"].isdecimal()
    refused(send(staff, path, 0, b"x", Content_Type="application/octet-stream"), 415, "unsupported_media_type")
    refused(send(staff, path, "x", b"x"), 400, "invalid")
    assert send(staff, "/uploads/00000000-0000-0000-0000-000000000000", 0, b"x").status_code == 404
    assert send(staff, "/uploads/nothing", 0, b"x").status_code == 404


def test_a_checksum_that_does_not_match_keeps_none_of_the_bytes(staff: Caller, model: Model) -> None:
    path = begun(staff)
    right = base64.b64encode(hashlib.sha256(CONTENT[:100]).digest()).decode()
    problem = refused(
        send(staff, path, 0, CONTENT[:99] + b"x", Upload_Checksum=f"sha256 {right}"), 460, "checksum_mismatch"
    )
    assert problem["title"] == "Checksum Mismatch"
    assert ask(staff, path).headers["Upload-Offset"] == "0"
    assert send(staff, path, 0, CONTENT[:100], Upload_Checksum=f"sha256 {right}").status_code == 204
    sha1 = base64.b64encode(hashlib.sha1(CONTENT[100:]).digest()).decode()
    for bad in ("md5 " + right, "sha256", "sha256 !", f"sha1 {right}"):
        assert "Upload-Checksum" in refused(send(staff, path, 100, b"x", Upload_Checksum=bad), 400, "invalid")["errors"]
    assert send(staff, path, 100, CONTENT[100:], Upload_Checksum=f"sha1 {sha1}").status_code == 204
    assert ModelVersion.objects.get().digest == DIGEST


@pytest.mark.parametrize(
    ("content", "declared", "status", "code"),
    [
        (b"these are no weights", {}, 400, "refused_format"),
        (CONTENT, {"sha256": "0" * 64}, 422, "digest_mismatch"),
    ],
)
def test_a_file_that_is_no_version_ends_the_upload_with_the_reason(
    staff: Caller,
    model: Model,
    store: Path,
    committed: Committed,
    content: bytes,
    declared: dict[str, str],
    status: int,
    code: str,
) -> None:
    path = begun(staff, len(content), **declared)
    with committed(execute=True):
        answer = send(staff, path, 0, content)
    refused(answer, status, code)
    assert files(store) == []
    shown = staff("GET", path).json()
    assert (shown["state"], shown["version"], shown["refusal"]["status"]) == ("refused", None, status)
    assert shown["refusal"]["message"] == answer.json()["detail"]
    assert ask(staff, path).headers["Upload-Offset"] == str(len(content))
    assert send(staff, path, len(content), b"").json()["detail"] == answer.json()["detail"]
    assert AuditEvent.objects.filter(action="upload.refuse").count() == 1
    assert not ModelVersion.objects.exists()


def test_u02_code_in_pieces_needs_the_right_to_upload_code(
    admin: Caller, model: Model, store: Path, committed: Committed
) -> None:
    from tests.unit.inspection.archives import torchscript

    content = torchscript().build()
    with committed(execute=True):
        assert send(admin, begun(admin, len(content)), 0, content).status_code == 403
    assert files(store) == []


def test_what_only_the_moment_refuses_loses_no_byte(
    staff: Caller, model: Model, store: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F13, F16: a full disk in the middle, then a database that is busy at the end."""
    path = begun(staff)
    send(staff, path, 0, CONTENT[:100])
    settings.DLPROXY_MIN_FREE_BYTES = 2**62
    refused(send(staff, path, 100, CONTENT[100:]), 507, "no_space")
    settings.DLPROXY_MIN_FREE_BYTES = 0
    assert ask(staff, path).headers["Upload-Offset"] == "100"

    def busy(*_: Any, **__: Any) -> None:
        raise OperationalError("database is locked")

    real = versions._insert
    monkeypatch.setattr(versions, "_insert", busy)
    refused(send(staff, path, 100, CONTENT[100:]), 503, "database_busy")
    shown = staff("GET", path).json()
    assert (shown["state"], shown["offset_bytes"]) == ("received", len(CONTENT))
    assert files(store) == [part_path(Upload.objects.get().pk).name]
    monkeypatch.setattr(versions, "_insert", real)
    assert send(staff, path, len(CONTENT), b"").status_code == 204
    assert staff("GET", path).json()["version"] == 1


def test_a_cancelled_upload_and_its_bytes_are_gone(
    staff: Caller, model: Model, store: Path, committed: Committed
) -> None:
    path = begun(staff)
    send(staff, path, 0, CONTENT[:100])
    with committed(execute=True):
        assert staff("DELETE", path, Tus_Resumable="1.0.0").status_code == 204
    assert files(store) == []
    assert send(staff, path, 100, CONTENT[100:]).status_code == 404
    assert AuditEvent.objects.filter(action="upload.cancel").count() == 1
    done = begun(staff)
    send(staff, done, 0, CONTENT)
    with committed(execute=True):
        assert staff("DELETE", done, Tus_Resumable="1.0.0").status_code == 204
    assert len(files(store)) == 1, "a version that it has become stays"


def test_an_upload_of_which_nothing_came_for_a_day_expires(
    staff: Caller, model: Model, store: Path, committed: Committed
) -> None:
    path, ended = begun(staff), begun(staff)
    send(staff, path, 0, CONTENT[:100])
    send(staff, ended, 0, CONTENT)
    day = timedelta(hours=24, seconds=2)
    soon = timezone.now() + timedelta(hours=23)
    artifacts.sweep_orphans(soon.timestamp())
    assert uploads.expire(now=soon) == 0
    assert ask(staff, path).headers["Upload-Offset"] == "100"
    upload = Upload.objects.get(ended_at=None)
    Upload.objects.filter(pk=upload.pk).update(created_at=timezone.now() - day)
    assert ask(staff, path).status_code == 200, "something came since"
    long_ago = (timezone.now() - day).timestamp()
    os.utime(part_path(upload.pk), (long_ago, long_ago))
    refused(send(staff, path, 100, CONTENT[100:]), 410, "expired")
    with committed(execute=True):
        assert uploads.expire(now=timezone.now()) == 1
    assert ask(staff, path).status_code == 404
    assert AuditEvent.objects.get(action="upload.expire").actor == "system:housekeeping"
    assert staff("GET", ended).json()["state"] == "done"
    assert uploads.expire(now=timezone.now() + day) == 1
    assert len(files(store)) == 1, "the version's own file"


def test_a_crash_between_the_move_and_the_versions_row_is_finished_later(
    staff: Caller, model: Model, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(staff)

    class Killed(BaseException):
        """As kill -9: nothing is put back."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(versions, "_insert", die)
        patched.setattr(artifacts, "discard", lambda stored: None)
        with pytest.raises(Killed):
            send(staff, path, 0, CONTENT)
    assert files(store) == [f"{Upload.objects.get().pk.hex}.safetensors"]
    artifacts.sweep_orphans(timezone.now().timestamp() + 7_200)
    shown = staff("GET", path).json()
    assert (shown["state"], shown["offset_bytes"]) == ("received", len(CONTENT))
    assert send(staff, path, len(CONTENT), b"").status_code == 204
    assert artifact_path(ModelVersion.objects.get()).read_bytes() == CONTENT


@pytest.mark.django_db(transaction=True)
def test_of_two_pieces_at_once_one_wins(staff: Caller, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    path = begun(staff)
    inside, go_on = threading.Event(), threading.Event()
    real = os.fsync

    def slow(descriptor: int) -> None:
        inside.set()
        assert go_on.wait(20)
        real(descriptor)

    monkeypatch.setattr(upload_files.os, "fsync", slow)
    statuses: list[int] = []

    def first() -> None:
        statuses.append(send(staff, path, 0, CONTENT[:100]).status_code)
        connection.close()

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(20)
    refused(send(staff, path, 0, CONTENT[:50]), 423, "locked")
    go_on.set()
    thread.join()
    assert statuses == [204]
    assert ask(staff, path).headers["Upload-Offset"] == "100"


@pytest.mark.django_db(transaction=True)
def test_a_file_is_read_through_before_the_transaction_that_makes_it_a_version(
    staff: Caller, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: list[bool] = []

    def inspect(path: Path) -> Any:
        inside.append(connection.in_atomic_block)  # where nobody else may write to SQLite
        return inspection.inspect(path)

    monkeypatch.setattr(artifacts, "inspect", inspect)
    assert send(staff, begun(staff), 0, CONTENT).status_code == 204
    assert inside == [False]


def test_a_file_that_is_cancelled_while_it_is_read_through_is_gone(
    staff: Caller, model: Model, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = begun(staff)

    def inspect(file: Path) -> Any:
        file.unlink()
        return inspection.inspect(file)

    monkeypatch.setattr(artifacts, "inspect", inspect)
    refused(send(staff, path, 0, CONTENT), 404, "not_found")
