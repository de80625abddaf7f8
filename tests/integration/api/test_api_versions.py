"""Versions over the API: upload, read, promote, archive, restore, validate anew, delete."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from api_cast import Caller, Maker
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from models_admin.models import AuditEvent, Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors.artifacts import artifact_path
from proxy.testing.weight_files import safetensors_file

pytestmark = pytest.mark.django_db

MLP = json.dumps({"name": "mlp", "widths": [2, 1]})


def safetensors(value: float = 1.0) -> bytes:
    """A file of one layer."""
    return safetensors_file({"0.weight": [1, 2], "0.bias": [1]}, struct.pack("<3f", value, value, value))


def kept_files() -> list[Path]:
    return [path for path in Path(settings.DLPROXY_ARTIFACTS_DIR).rglob("*") if path.is_file()]


@pytest.fixture(autouse=True)
def _empty_store() -> None:
    for path in kept_files():
        path.unlink()


@pytest.fixture
def model(maker: Maker) -> Model:
    return maker.model("mlp")


def test_an_upload_becomes_a_version_whose_validation_is_asked_for(staff: Caller, model: Model) -> None:
    content = safetensors()
    digest = hashlib.sha256(content).hexdigest()
    answer = staff.upload(
        "/models/mlp/versions",
        content,
        filename="weights.bin",
        sha256=digest.upper(),
        options=json.dumps({"architecture": MLP}),
        cacheable="false",
        notes="first",
    )
    assert answer.status_code == 201, answer.content
    assert answer.headers["Location"] == "/api/v1/models/mlp/versions/1"
    assert answer.headers["ETag"] == '"1"'
    version = answer.json()
    assert (version["number"], version["state"], version["format"]) == (1, "uploaded", "safetensors")
    assert (version["digest"], version["size_bytes"]) == (digest, len(content))
    assert (version["batchable"], version["stateful"], version["cacheable"]) == (True, False, False)
    assert (version["original_filename"], version["uploaded_by"]) == ("weights.bin", "user:ann")
    assert version["options"] == {"architecture": MLP}
    assert [step["status"] for step in version["steps"]] == ["pending"] * len(version["steps"])
    assert artifact_path(ModelVersion.objects.get()).read_bytes() == content
    assert staff("GET", "/models/mlp/versions/1").json() == version


def test_a_signature_may_be_declared(staff: Caller, model: Model) -> None:
    signature = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
    }
    answer = staff.upload(
        "/models/mlp/versions",
        safetensors(),
        options=json.dumps({"architecture": MLP}),
        declared_signature=json.dumps(signature),
    )
    assert answer.status_code == 201, answer.content
    assert answer.json()["declared_signature"] == signature


def test_the_number_may_be_chosen_once(staff: Caller, model: Model) -> None:
    options = json.dumps({"architecture": MLP})
    assert staff.upload("/models/mlp/versions", safetensors(), number="7", options=options).json()["number"] == 7
    taken = staff.upload("/models/mlp/versions", safetensors(2), number="7", options=options)
    assert (taken.status_code, list(taken.json()["errors"])) == (409, ["number"])
    assert staff.upload("/models/mlp/versions", safetensors(3), options=options).json()["number"] == 8
    assert len(kept_files()) == 2


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"sha256": "0" * 64}, 422, "sha256"),
        ({"sha256": "xyz"}, 400, "sha256"),
        ({"number": "0"}, 400, "number"),
        ({"number": "-1"}, 400, "number"),
        ({"number": "1.5"}, 400, "number"),
        ({"number": "9" * 30}, 400, "number"),
        ({"batchable": "perhaps"}, 400, "batchable"),
        ({"options": "{"}, 400, "options"),
        ({"options": "[]"}, 400, "options"),
        ({"options": '{"path": "/etc"}'}, 400, "options"),
        ({"options": '{"method": "a b"}'}, 400, "options"),
        ({"options": '{"method": "\\u0000"}'}, 400, "options"),
        ({"options": "[" * 60_000}, 400, "options"),
        ({"options": "x" * 70_000}, 400, "options"),
        ({"declared_signature": "NaN"}, 400, "declared_signature"),
        ({"declared_signature": '{"inputs": []}'}, 400, "declared_signature"),
        (
            {"declared_signature": '{"inputs": [{"name": "x", "datatype": "FP31", "shape": []}], "outputs": []}'},
            400,
            "declared_signature",
        ),
        ({"stateful": "true"}, 400, "batchable"),
        ({"artifact_id": "00000000-0000-0000-0000-000000000000"}, 400, "artifact_id"),
        ({"state": "ready"}, 400, "state"),
        ({"notes": "x" * 5_000}, 400, "notes"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_kept(
    fields: dict[str, str], status: int, field: str, staff: Caller, model: Model
) -> None:
    answer = staff.upload("/models/mlp/versions", safetensors(), **fields)
    assert answer.status_code == status, answer.content
    assert list(answer.json()["errors"]) == [field]
    assert not ModelVersion.objects.exists()
    assert kept_files() == []


def test_an_upload_without_a_file_says_so(staff: Caller, model: Model) -> None:
    answer = staff.client.post("/api/v1/models/mlp/versions", {"notes": "x"}, headers=staff.headers)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["file"])


def test_u01_a_pickle_named_safetensors_is_refused_by_its_content(staff: Caller, model: Model) -> None:
    answer = staff.upload("/models/mlp/versions", b"\x80\x04cos\nsystem\n(S'true'\ntR.", "x.safetensors")
    assert answer.status_code == 400
    assert "pickle" in answer.json()["detail"]
    assert kept_files() == []


def test_u02_code_needs_the_right_to_upload_code(admin: Caller, model: Model, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "m.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather not make TorchScript any more
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 1), torch.zeros(1, 2)), str(path))
    answer = admin.upload("/models/mlp/versions", path.read_bytes(), "m.pt")
    assert (answer.status_code, answer.json()["code"]) == (403, "code_upload")
    assert kept_files() == []


@pytest.mark.parametrize(
    "name", ["a\x00b", "../../etc/passwd", "x" * 10_000, "\u202egpj.exe", "😀", "a\nb", "<b>.onnx"]
)
def test_u19_a_hostile_file_name_is_only_a_label(name: str, staff: Caller, model: Model) -> None:
    answer = staff.upload("/models/mlp/versions", safetensors(), name, options=json.dumps({"architecture": MLP}))
    assert answer.status_code in (201, 400), answer.content
    if answer.status_code == 201:
        shown = answer.json()["original_filename"]
        assert len(shown) <= 255
        assert not set(shown) & set("/\\\n\x00\u202e")
        assert [path.name for path in kept_files()] == [artifact_path(ModelVersion.objects.get()).name]


@pytest.mark.parametrize(
    ("disposition", "shown"),
    [
        (b'filename="gr\xf6\xdfe.pt"', "größe.pt"),  # Latin-1, as some programs write it
        ('filename="größe.pt"'.encode(), "größe.pt"),
        (b"filename*=UTF-8''gr%C3%B6%C3%9Fe.pt", "größe.pt"),
        (b"filename*=klingon''a.pt", "unnamed"),
        (b'filename="\xff\xfe;\xe9.pt"', "ÿþ;é.pt"),
        (b'filename="a\\"b\xe9.pt"', 'a"bé.pt'),
        (b'filename=".."', "unnamed"),
        (b'filename="\xe2\x80\xae"', "unnamed"),
        (b'filename="models/"', "unnamed"),
        (b'filename="\r"', "unnamed"),
        (b'filename="' + b"x" * 10_000 + b'"', "x" * 160),
        (b'filename="' + "\U0001f600".encode() * 200 + b'"', None),
    ],
)
def test_u19_no_file_name_makes_an_upload_fail(
    disposition: bytes, shown: str | None, staff: Caller, model: Model
) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="options"\r\n\r\n'
        + json.dumps({"architecture": MLP}).encode()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="file"; '
        + disposition
        + b"\r\nContent-Type: application/octet-stream\r\n\r\n"
        + safetensors()
        + b"\r\n--b--\r\n"
    )
    answer = staff("POST", "/models/mlp/versions", body, Content_Type="multipart/form-data; boundary=b")
    assert answer.status_code == 201, answer.content
    assert shown in (None, answer.json()["original_filename"])
    assert artifact_path(ModelVersion.objects.get()).read_bytes() == safetensors()


def test_a_file_over_the_limit_is_refused_and_not_kept(staff: Caller, model: Model, settings: object) -> None:
    settings.DLPROXY_MAX_UPLOAD_BYTES = 100  # type: ignore[attr-defined]
    answer = staff.upload("/models/mlp/versions", safetensors() + b"x" * 100)
    assert (answer.status_code, list(answer.json()["errors"])) == (413, ["file"])
    assert kept_files() == []


def test_u22_a_form_without_its_end_is_refused_and_not_kept(staff: Caller, model: Model) -> None:
    whole = (
        b'--b\r\nContent-Disposition: form-data; name="options"\r\n\r\n'
        + json.dumps({"architecture": MLP}).encode()
        + b'\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="m"\r\n\r\n'
        + safetensors()
        + b"\r\n--b--\r\n"
    )
    form = "multipart/form-data; boundary=b"
    for length in range(0, len(whole) - 4, 7):
        answer = staff("POST", "/models/mlp/versions", whole[:length], Content_Type=form)
        assert answer.status_code == 400, (length, answer.content)
        assert kept_files() == []
    assert staff("POST", "/models/mlp/versions", whole, Content_Type=form).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n" * 2_000,
        b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n" * 1_000 + b"--b--",
        b"--b\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n1\r\n" * 1_000 + b"--b--",
        b"--b\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=file; filename=f\r\n\r\n"
        + b" " * 100_000
        + b"!\r\n--b--",
        b"--b\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--b--",
        b"\x00" * 10_000,
    ],
)
def test_u22_malformed_forms_are_refused(body: bytes, staff: Caller, model: Model) -> None:
    answer = staff("POST", "/models/mlp/versions", body, Content_Type="multipart/form-data; boundary=b")
    assert answer.status_code == 400, answer.content
    assert kept_files() == []


@pytest.mark.parametrize("boundary", ["", "; boundary=" + "x" * 1_000_000, "; boundary=\u00e9"])
def test_u22_bad_boundaries_are_refused(boundary: str, staff: Caller, model: Model) -> None:
    answer = staff("POST", "/models/mlp/versions", b"--b--", Content_Type=f"multipart/form-data{boundary}")
    assert answer.status_code in (400, 415), answer.content
    assert len(answer.content) < 1_000


def test_a_viewers_upload_is_refused_before_it_is_read(viewer: Caller, model: Model) -> None:
    answer = viewer.upload("/models/mlp/versions", safetensors())
    assert answer.status_code == 403
    assert kept_files() == []


def test_promote_moves_the_default(staff: Caller, digits: Model) -> None:
    answer = staff("POST", "/models/digits/versions/2/promote")
    assert (answer.status_code, answer.json()["is_default"]) == (200, True)
    assert staff("GET", "/models/digits").json()["default_version"] == 2
    assert AuditEvent.objects.get(action="version.promote").details == {"before": 1}


@pytest.mark.parametrize("state", [s for s in VersionState if s != VersionState.READY])
def test_a12_only_a_ready_version_is_promoted(state: VersionState, staff: Caller, digits: Model, maker: Maker) -> None:
    maker.version(digits, 3, state)
    answer = staff("POST", "/models/digits/versions/3/promote")
    assert answer.status_code == 409
    assert staff("GET", "/models/digits").json()["default_version"] == 1


@pytest.mark.parametrize(("method", "path"), [("DELETE", ""), ("POST", "/archive"), ("POST", "/validate")])
def test_a12_the_version_in_use_stays(method: str, path: str, staff: Caller, digits: Model) -> None:
    answer = staff(method, f"/models/digits/versions/1{path}")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert staff("GET", "/models/digits/versions/1").json()["state"] == "ready"


def test_archive_and_restore(staff: Caller, digits: Model) -> None:
    assert staff("POST", "/models/digits/versions/2/archive").json()["state"] == "archived"
    assert staff("POST", "/models/digits/versions/2/restore").json()["state"] == "ready"


def test_a_failed_version_is_validated_anew(staff: Caller, digits: Model, maker: Maker) -> None:
    maker.version(digits, 3, VersionState.FAILED)
    answer = staff("POST", "/models/digits/versions/3/validate")
    assert (answer.status_code, answer.json()["state"]) == (200, "uploaded")
    assert answer.json()["steps"]


def test_notes_and_keep_loaded_change_together(staff: Caller, digits: Model) -> None:
    answer = staff("PATCH", "/models/digits/versions/2", {"notes": "good", "keep_loaded": True}, If_Match='"1"')
    assert (answer.status_code, answer.json()["notes"], answer.json()["keep_loaded"]) == (200, "good", True)


def test_a_change_that_fails_in_part_changes_nothing(staff: Caller, digits: Model, maker: Maker) -> None:
    maker.version(digits, 3, VersionState.FAILED)
    answer = staff("PATCH", "/models/digits/versions/3", {"notes": "good", "keep_loaded": True})
    assert answer.status_code == 409
    assert staff("GET", "/models/digits/versions/3").json()["notes"] == ""


def test_a_deleted_version_is_listed_restored_and_removed_with_its_file(
    staff: Caller, digits: Model, django_capture_on_commit_callbacks: object
) -> None:
    path = artifact_path(digits.versions.get(number=2))
    url = "/models/digits/versions/2"
    assert staff("DELETE", f"{url}?for_good=true").status_code == 404  # only what was deleted before
    assert staff("DELETE", url).status_code == 204
    assert staff("GET", url).status_code == 404
    assert staff("GET", "/models/digits").json()["version_count"] == 1
    assert [v["number"] for v in staff("GET", "/models/digits/versions").json()["results"]] == [1]
    listed = staff("GET", "/models/digits/versions?deleted=true").json()["results"]
    assert [(v["number"], v["deleted_by"]) for v in listed] == [(2, "user:ann")]
    assert listed[0]["kept_until"] > listed[0]["deleted_at"]
    again = staff("POST", f"{url}/restore")
    assert (again.status_code, again.json()["state"], again.json()["deleted_at"]) == (200, "ready", None)
    assert not again.json()["is_default"] and path.exists()
    assert staff("DELETE", url).status_code == 204
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert staff("DELETE", f"{url}?for_good=true").status_code == 204
    assert not path.exists()
    assert staff("POST", f"{url}/restore").status_code == 404
    assert staff("GET", "/models/digits/versions?deleted=perhaps").status_code == 400


def test_the_list_is_newest_first_and_filtered(viewer: Caller, digits: Model, maker: Maker) -> None:
    maker.version(digits, 3, VersionState.FAILED)
    numbers = lambda query: [  # noqa: E731
        v["number"] for v in viewer("GET", f"/models/digits/versions?{query}").json()["results"]
    ]
    assert numbers("") == [3, 2, 1]
    assert numbers("state=failed") == [3]
    assert numbers("format=onnx") == []
    assert numbers("ordering=number") == [1, 2, 3]
    assert viewer("GET", "/models/digits/versions?state=nice").status_code == 400
    assert viewer("GET", "/models/nothing/versions").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_u24_of_two_uploads_of_one_number_at_once_one_succeeds(staff_user: User, model: Model) -> None:
    def upload(value: float) -> int:
        try:
            options = json.dumps({"architecture": MLP})
            caller = Caller(staff_user)
            answer = caller.upload("/models/mlp/versions", safetensors(value), number="3", options=options)
            return int(answer.status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(upload, [1.0, 2.0, 3.0, 4.0]))
    assert statuses == [201, 409, 409, 409]
    assert kept_files() == [artifact_path(ModelVersion.objects.get())]
