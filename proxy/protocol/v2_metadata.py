"""Health and metadata bodies. Pure; what is ready is the caller's knowledge.

Source: Open Inference Protocol, REST, "Server Metadata", "Model Metadata", "Health".
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from proxy.core.snapshot import ModelSnapshot, VersionSnapshot
from proxy.core.tensors import TensorSpec

SERVER_NAME = "dlproxy"
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
PLATFORMS = {
    "torchscript": "pytorch_torchscript",
    "exported": "pytorch_export",
    "safetensors": "pytorch_safetensors",
    "onnx": "onnx_onnxv1",
}


def server(version: str) -> bytes:
    """Name, version and extensions of this server."""
    return orjson.dumps({"name": SERVER_NAME, "version": version, "extensions": EXTENSIONS})


def live(*, is_live: bool) -> bytes:
    """The process answers."""
    return orjson.dumps({"live": is_live})


def server_ready(*, is_ready: bool) -> bytes:
    """Every wanted model can answer. The specification's text says `live`, its gRPC message `ready`: both are sent."""
    return orjson.dumps({"live": is_ready, "ready": is_ready})


def model(snapshot: ModelSnapshot, version: VersionSnapshot) -> bytes:
    """Signature and versions of a model, as `version` declares them."""
    return orjson.dumps(
        {
            "name": snapshot.name,
            "versions": [str(number) for number in sorted(snapshot.versions)],
            "platform": PLATFORMS.get(version.format, version.format),
            "inputs": [_spec(spec) for spec in version.signature.inputs],
            "outputs": [_spec(spec) for spec in version.signature.outputs],
        }
    )


def ready(name: str, *, is_ready: bool) -> bytes:
    """One model or version can answer."""
    return orjson.dumps({"name": name, "ready": is_ready})


def models(snapshots: Iterable[tuple[ModelSnapshot, bool]]) -> bytes:
    """The models that the caller may ask, each with whether its default version is ready."""
    return orjson.dumps(
        {
            "models": [
                {
                    "name": snapshot.name,
                    "versions": [str(number) for number in sorted(snapshot.versions)],
                    "default_version": None if snapshot.default_version is None else str(snapshot.default_version),
                    "labels": {label: str(number) for label, number in sorted(snapshot.labels.items())},
                    "ready": is_ready,
                }
                for snapshot, is_ready in snapshots
            ]
        }
    )


def _spec(spec: TensorSpec) -> dict[str, object]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
