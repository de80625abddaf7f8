"""The first start: accounts, demo models through the same services, and a second start that changes nothing."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from models_admin.inspection import inspect
from models_admin.models import ApiKey, AuditEvent, Model, ModelVersion
from models_admin.publishing.snapshot import load_snapshot
from models_admin.selectors.artifacts import artifact_path
from models_admin.services.keys import digest_of

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    out = io.StringIO()
    call_command("train_digits", str(folder), stdout=out, skip_checks=True)
    accuracy = float(out.getvalue().split("accuracy ")[1].split()[0])
    assert accuracy >= 0.97
    return folder


@pytest.fixture
def home(settings: Any, tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own; the training of this module is used again."""
    settings.DLPROXY_HOME = tmp_path / "home"
    settings.DLPROXY_HOME.mkdir()

    def reuse(folder: Path) -> str:
        for path in trained.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        return "digits: trained before"

    monkeypatch.setattr("models_admin.management.commands.bootstrap.train", reuse)
    return settings.DLPROXY_HOME


def bootstrap(*arguments: str) -> str:
    out = io.StringIO()
    call_command("bootstrap", *arguments, stdout=out, stderr=out, skip_checks=True)
    return out.getvalue()


def test_the_trained_files_are_what_they_are_said_to_be(trained: Path) -> None:
    assert inspect(trained / "digits.pt").format == "torchscript"
    assert inspect(trained / "digits.pt").has_signature
    assert inspect(trained / "digits.pt2").format == "exported"
    facts = json.loads((trained / "digits.json").read_text())
    assert facts["accuracy"] >= 0.97
    assert len(facts["example"]["pixels"]) == 64
    assert zipfile.ZipFile(trained / "digits.pt").testzip() is None


def test_the_first_start_makes_accounts_and_serving_demo_models_and_the_second_nothing(home: Path) -> None:
    output = bootstrap()
    path = home / "first-run.json"
    told = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(told) == {
        "dashboard_url", "inference_url", "admin_user", "admin_password", "api_key", "demo_request", "demo_label",
    }  # fmt: skip
    assert told["admin_password"] not in output
    assert told["api_key"] not in output
    admin = authenticate(username=told["admin_user"], password=told["admin_password"])
    assert admin is not None and admin.is_superuser
    assert ApiKey.objects.get().digest == digest_of(told["api_key"])
    assert told["demo_request"]["inputs"][0]["shape"] == [1, 1, 8, 8]

    snapshot = load_snapshot(None)
    assert snapshot is not None
    assert snapshot.models["digits"].default_version == 1
    assert snapshot.models["digits"].versions[1].signature.outputs[0].shape == (-1, 10)
    vad = snapshot.models["silero-vad"].versions[1]
    assert (vad.batchable, vad.stateful, vad.cacheable) == (False, True, False)
    assert set(ModelVersion.objects.values_list("state", flat=True)) == {"ready"}
    assert all(artifact_path(version).exists() for version in ModelVersion.objects.all())

    before = AuditEvent.objects.count(), path.read_bytes()
    assert "nothing to do" in bootstrap()
    assert (AuditEvent.objects.count(), path.read_bytes()) == before


def test_what_the_owner_deleted_does_not_come_back(home: Path) -> None:
    bootstrap("--no-demo")
    (home / "first-run.json").unlink()
    AuditEvent.objects.create(actor="system:bootstrap", action="model.create", object_type="model", object_id="digits")
    for version in ("digits/1", "digits/2", "silero-vad/1"):
        AuditEvent.objects.create(
            actor="system:bootstrap", action="version.create", object_type="version", object_id=version
        )
    assert "nothing to do" in bootstrap()
    assert not Model.objects.exists()
    assert not (home / "first-run.json").exists()


def test_a_crash_before_the_accounts_are_committed_leaves_a_file_that_is_written_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models_admin.management.demo import first_run

    real = first_run.write_private

    def crash(path: Path, content: dict[str, Any]) -> None:
        real(path, content)
        raise KeyboardInterrupt

    monkeypatch.setattr(first_run, "write_private", crash)
    with pytest.raises(KeyboardInterrupt):
        bootstrap("--no-demo")
    assert not ApiKey.objects.exists()
    monkeypatch.setattr(first_run, "write_private", real)
    bootstrap("--no-demo")
    told = json.loads((home / "first-run.json").read_text())
    assert ApiKey.objects.get().digest == digest_of(told["api_key"])


def test_f16_a_disk_without_room_for_the_demo_models_does_not_keep_the_server_from_starting(
    home: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That they pass validation is seen in the test of the first start."""
    monkeypatch.setattr("models_admin.tasks.validation.validate_version", lambda _: None)
    settings.DLPROXY_MAX_STORAGE_BYTES = 1
    output = bootstrap()
    assert "digits/1 is left out" in output
    assert (home / "first-run.json").exists()
    assert not ModelVersion.objects.exists()
    settings.DLPROXY_MAX_STORAGE_BYTES = 0
    bootstrap()
    assert ModelVersion.objects.filter(model__name="digits").count() == 2
