"""The demo models and how they are registered: through the same services as any upload.

Rules: each model and version is created once, told by the audit log; one that the owner deleted does not come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models_admin.models import AuditEvent, Model, ModelVersion
from models_admin.services import models, versions
from models_admin.services.actors import system_actor

ACTOR = system_actor("bootstrap")
SILERO_SIGNATURE = {
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [1, -1]},
        {"name": "sr", "datatype": "INT64", "shape": [1]},
    ],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [1, -1]}],
}
SILERO_OPTIONS = {
    "method": "audio_forward",
    "reset_method": "reset_states",
    # The model takes 8,000 or 16,000 samples a second only, in windows of 512.
    "sample": '{"x": {"shape": [1, 1536], "fill": 0.01}, "sr": {"fill": 16000}}',
}


@dataclass(frozen=True, slots=True)
class DemoVersion:
    """One upload: the file, its number, and what is declared with it."""

    model: str
    number: int
    path: Path
    notes: str
    declared_signature: dict[str, Any] | None = None
    options: dict[str, str] = field(default_factory=dict)
    stateful: bool = False


DESCRIPTIONS = {
    "digits": "Reads a handwritten digit of 8 × 8 pixels (values 0 to 1); ten log-probabilities. Trained on this "
    "machine from scikit-learn's bundled set.",
    "silero-vad": "Tells speech from silence in audio of 8 or 16 kHz: one probability for each 32 ms. It keeps state "
    "within a recording, which is reset before each request, so requests do not share executions or cached answers.",
}


def demo_versions(trained: Path, signature: dict[str, Any]) -> list[DemoVersion]:
    """Every demo version, in the order of registration; silero-vad only where its package is installed."""
    wanted = [
        DemoVersion("digits", 1, trained / "digits.pt", "TorchScript; its signature is inside the archive."),
        DemoVersion(
            "digits", 2, trained / "digits.pt2", "The same network by torch.export.", declared_signature=signature
        ),
    ]
    silero = silero_path()
    if silero is not None:
        wanted.append(
            DemoVersion(
                "silero-vad",
                1,
                silero,
                "As the package silero-vad ships it (TorchScript, MIT licence).",
                declared_signature=SILERO_SIGNATURE,
                options=SILERO_OPTIONS,
                stateful=True,
            )
        )
    return wanted


def silero_path() -> Path | None:
    """Where the package silero-vad keeps its TorchScript model (found without importing it, which would load torch)."""
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.jit"
    return path if path.is_file() else None


def was_done(action: str, object_id: str) -> bool:
    """True if the audit log knows this change of ours."""
    return AuditEvent.objects.filter(action=action, object_id=object_id, actor=ACTOR.label).exists()


def register(wanted: DemoVersion, validate: Callable[[int], None]) -> ModelVersion | None:
    """Create the model and the version unless that was done before; then validate. The new version, or None."""
    model = Model.with_deleted.filter(name=wanted.model).first()
    if model is not None and model.deleted_at is not None:
        return None
    if model is None:
        if was_done("model.create", wanted.model):
            return None
        model = models.create_model(actor=ACTOR, name=wanted.model, description=DESCRIPTIONS[wanted.model])
    if was_done("version.create", f"{wanted.model}/{wanted.number}"):
        return None
    if ModelVersion.with_deleted.filter(model=model, number=wanted.number).exists():
        return None  # the owner's own model of the same name
    with wanted.path.open("rb") as file:
        version = versions.create_version(
            actor=ACTOR,
            model=model,
            file=file,
            number=wanted.number,
            filename=wanted.path.name,
            declared_signature=wanted.declared_signature,
            options=wanted.options,
            batchable=not wanted.stateful,
            stateful=wanted.stateful,
            cacheable=not wanted.stateful,
            notes=wanted.notes,
        )
    validate(version.pk)
    version.refresh_from_db()
    return version
