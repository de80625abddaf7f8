"""Code that runs one artifact format each. Formats are decided before (by content); here they are only looked up."""

from __future__ import annotations

from importlib import import_module

from proxy.core.words import say
from proxy.frames.config import InstanceConfig
from proxy.worker.backends.base import Backend, UnusableArtifact

_MODULES = {
    "torchscript": "proxy.worker.backends.torchscript",
    "exported": "proxy.worker.backends.exported",
    "safetensors": "proxy.worker.backends.safetensors",
    "onnx": "proxy.worker.backends.onnx",
}


def prepare(config: InstanceConfig) -> type[Backend]:
    """Import the libraries of the configuration's format, without touching the artifact. Raises UnusableArtifact."""
    module_name = _MODULES.get(config.format)
    if module_name is None:
        raise UnusableArtifact(say("There is no backend for the format %(format)s.", format=repr(config.format)))
    backend: type[Backend] = import_module(module_name).BACKEND
    backend.set_up(config)
    return backend
