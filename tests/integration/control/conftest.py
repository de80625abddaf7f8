"""An empty artifact store, an actor, and a model with files that pass inspection."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models_admin.models import Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.services import models, versions
from models_admin.services.actors import Actor
from proxy.testing.weight_files import safetensors_file

ANN = Actor("user:ann", is_admin=True, may_upload_code=True, remote_addr="127.0.0.1")
BOB = Actor("user:bob", is_admin=True)
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
}


def weights(value: float = 1.0) -> bytes:
    """A good safetensors file of one layer."""
    return safetensors_file({"w": [2]}, struct.pack("<2f", value, value))


@pytest.fixture(autouse=True)
def store(settings: Any, tmp_path: Path) -> Iterator[Path]:
    """The folder of artifacts, empty."""
    folder = tmp_path / "artifacts"
    (folder / "incoming").mkdir(parents=True)
    settings.DLPROXY_ARTIFACTS_DIR = folder
    yield folder


@pytest.fixture
def model(db: None) -> Model:
    """A model without versions."""
    return models.create_model(actor=ANN, name="net")


def upload(model: Model, value: float = 1.0, **changes: Any) -> ModelVersion:
    """An uploaded version, not validated."""
    fields = {"actor": ANN, "file": io.BytesIO(weights(value)), **changes}
    return versions.create_version(model=model, **fields)


def make_ready(version: ModelVersion) -> ModelVersion:
    """The version as validation would leave it, without the default."""
    ModelVersion.objects.filter(pk=version.pk).update(state=VersionState.READY, signature=SIGNATURE)
    version.refresh_from_db()
    return version


@pytest.fixture
def ready(model: Model) -> ModelVersion:
    """Version 1, ready and the default."""
    version = make_ready(upload(model))
    versions.promote(actor=ANN, version=version)
    model.refresh_from_db()
    version.refresh_from_db()
    return version


def files(folder: Path) -> list[str]:
    """Every file in the store."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
