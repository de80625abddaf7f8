"""safetensors weights in an architecture from the server's allow-list: data only, no code in the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from proxy.core.tensors import Signature
from proxy.core.words import of_error, say
from proxy.frames.config import InstanceConfig
from proxy.worker import device as devices
from proxy.worker.backends import architectures
from proxy.worker.backends.base import Array, Backend, UnusableArtifact
from proxy.worker.backends.safetensors_header import BrokenHeader, StoredTensor, read_header
from proxy.worker.backends.torch_common import set_up_torch, to_arrays, to_tensors


class SafetensorsBackend(Backend):
    """The declared architecture with the file's weights; every tensor must be there, and no other."""

    def __init__(self, module: nn.Module, signature: Signature, device: torch.device) -> None:
        self._device = device
        self.device = str(self._device)
        self.signature = signature
        self._module = module.to(self._device).eval()

    @classmethod
    def set_up(cls, config: InstanceConfig) -> None:
        set_up_torch(config)
        import safetensors.torch  # noqa: F401  loaded before the sandbox closes

    @classmethod
    def open(cls, config: InstanceConfig) -> SafetensorsBackend:
        import safetensors.torch

        path = Path(config.artifact_path)
        module, signature = architectures.build(config.options.get("architecture"))
        try:
            with path.open("rb") as file:
                tensors = read_header(file, path.stat().st_size)
        except BrokenHeader as error:
            raise UnusableArtifact(
                say("Not a well-formed safetensors file: %(error)s.", error=of_error(error))
            ) from error
        _check_fit(module, tensors)
        module.load_state_dict(safetensors.torch.load_file(config.artifact_path), strict=True, assign=True)
        return cls(module, signature, devices.choose(config))

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        with torch.inference_mode():
            return to_arrays(self._module(*to_tensors(inputs, self._device)), self.signature)


BACKEND = SafetensorsBackend


def _check_fit(module: nn.Module, tensors: Sequence[StoredTensor]) -> None:
    """Raise UnusableArtifact, naming the first tensor that is missing, surplus or of another shape or type."""
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {tensor.name: tensor for tensor in tensors}
    for name, shape in wanted.items():
        if name not in found:
            raise UnusableArtifact(
                say(
                    "The file lacks tensor %(name)s %(shape)s of the declared architecture.",
                    name=repr(name),
                    shape=list(shape),
                )
            )
        if found[name].shape != shape:
            raise UnusableArtifact(
                say(
                    "Tensor %(name)s is %(found)s; the declared architecture needs %(wanted)s.",
                    name=repr(name),
                    found=list(found[name].shape),
                    wanted=list(shape),
                )
            )
        if found[name].dtype != "F32":
            dtype = found[name].dtype
            raise UnusableArtifact(
                say("Tensor %(name)s is %(dtype)s; the architectures here use F32.", name=repr(name), dtype=dtype)
            )
    for name in found:
        if name not in wanted:
            raise UnusableArtifact(
                say("The file has tensor %(name)s, which the declared architecture does not.", name=repr(name))
            )
