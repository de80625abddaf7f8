"""Programs of `torch.export` (.pt2). They carry their shapes; names of outputs come from the declared signature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from proxy.core.tensors import DATATYPES, VARIABLE, Signature, TensorSpec
from proxy.core.words import say
from proxy.frames.config import InstanceConfig
from proxy.worker import device as devices
from proxy.worker.backends.base import Array, Backend, UnusableArtifact, shortened
from proxy.worker.backends.torch_common import set_up_torch, to_arrays, to_tensors

_NAMES = {getattr(torch, row.numpy): name for name, row in DATATYPES.items() if row.numpy} | {torch.bfloat16: "BF16"}


class ExportedBackend(Backend):
    """Runs the program's module; weights are moved to the chosen device."""

    def __init__(self, program: torch.export.ExportedProgram, device: torch.device) -> None:
        self._device = device
        self.device = str(self._device)
        self.signature = _signature(program)
        self._module = program.module()
        if self._device.type != "cpu":
            self._module = self._module.to(self._device)

    @classmethod
    def set_up(cls, config: InstanceConfig) -> None:
        set_up_torch(config)
        import torch.export.pt2_archive  # noqa: F401  the loader; it must be in memory before the sandbox closes

    @classmethod
    def open(cls, config: InstanceConfig) -> ExportedBackend:
        try:
            return cls(torch.export.load(config.artifact_path), devices.choose(config))
        except UnusableArtifact:
            raise
        except Exception as error:
            raise UnusableArtifact(
                say("torch.export.load could not open the file: %(error)s", error=shortened(error))
            ) from error

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        with torch.inference_mode():
            return to_arrays(self._module(*to_tensors(inputs, self._device)), self.signature)


BACKEND = ExportedBackend


def _signature(program: torch.export.ExportedProgram) -> Signature:
    values: dict[str, Any] = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [_spec(name, values.get(str(name)), say("input")) for name in program.graph_signature.user_inputs]
    outputs = [str(name) for name in program.graph_signature.user_outputs]
    names = ["output"] if len(outputs) == 1 else [f"output_{index}" for index in range(len(outputs))]
    return Signature(
        tuple(inputs),
        tuple(_spec(name, values.get(node), say("output")) for name, node in zip(names, outputs, strict=True)),
    )


def _spec(name: object, value: Any, side: str) -> TensorSpec:
    if not isinstance(name, str) or not isinstance(value, torch.Tensor):
        raise UnusableArtifact(
            say(
                "The program's %(side)s %(name)s is not a tensor; only tensors can be served.",
                side=side,
                name=repr(name),
            )
        )
    if value.dtype not in _NAMES:
        raise UnusableArtifact(
            say(
                "The program's %(side)s %(name)s is %(dtype)s, which the protocol cannot carry.",
                side=side,
                name=repr(name),
                dtype=value.dtype,
            )
        )
    shape = tuple(int(size) if isinstance(size, int) else VARIABLE for size in value.shape)
    return TensorSpec(name, _NAMES[value.dtype], shape)
