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


def golden_path(version: ModelVersion) -> Path:
    """Path of the document of a version's golden samples, named by its digest."""
    return _golden(version.artifact_id, version.golden_digest)


def golden_paths(artifact_id: UUID) -> list[Path]:
    """Every golden document of one artifact, those of earlier samples among them."""
    return sorted(Path(settings.DLPROXY_ARTIFACTS_DIR).glob(f"{artifact_id.hex}.golden-*.json"))


def _golden(artifact_id: UUID, digest: str) -> Path:
    return Path(settings.DLPROXY_ARTIFACTS_DIR) / f"{artifact_id.hex}.golden-{digest[:32]}.json"


def artifact_path(version: ModelVersion) -> Path:
    """Path of a version's artifact."""
    return path_for(version.artifact_id, version.format)
