"""Where the bytes of a version lie: a path made from server-made ids only, never from what a client sent."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from django.conf import settings

from models_admin.models import ModelVersion
from models_admin.models.registry import ArtifactFormat

SUFFIXES = {
    ArtifactFormat.TORCHSCRIPT: ".pt",
    ArtifactFormat.EXPORTED: ".pt2",
    ArtifactFormat.SAFETENSORS: ".safetensors",
    ArtifactFormat.ONNX: ".onnx",
}


def path_for(artifact_id: UUID, artifact_format: str) -> Path:
    """Path of the artifact with this id, whether or not it exists."""
    return Path(settings.DLPROXY_ARTIFACTS_DIR) / f"{artifact_id.hex}{SUFFIXES[ArtifactFormat(artifact_format)]}"


def artifact_path(version: ModelVersion) -> Path:
    """Path of a version's artifact."""
    return path_for(version.artifact_id, version.format)
