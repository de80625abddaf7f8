"""ONNX models, run by onnxruntime (an optional extra)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from proxy.core.tensors import VARIABLE, Signature, TensorSpec
from proxy.core.words import say
from proxy.frames.config import InstanceConfig
from proxy.worker import device as devices
from proxy.worker.backends.base import Array, Backend, UnusableArtifact, shortened
from proxy.worker.dtypes import OBJECT, as_array, as_texts

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
CUDA = "CUDAExecutionProvider"


class OnnxBackend(Backend):
    """One onnxruntime session, on CUDA where onnxruntime has it, else on the CPU."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.device = "cpu"
        if CUDA in session.get_providers():
            self.device = f"cuda:{session.get_provider_options()[CUDA].get('device_id', 0)}"
        self.signature = Signature(
            tuple(_spec(item, say("input")) for item in session.get_inputs()),
            tuple(_spec(item, say("output")) for item in session.get_outputs()),
        )
        self._inputs = [spec.name for spec in self.signature.inputs]
        self._outputs = [spec.name for spec in self.signature.outputs]

    @classmethod
    def set_up(cls, config: InstanceConfig) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UnusableArtifact(
                say(
                    "ONNX needs the optional package onnxruntime; "
                    "install it (requirements-onnx.txt) and validate again."
                )
            ) from error
        _providers(config, onnxruntime.get_available_providers())

    @classmethod
    def open(cls, config: InstanceConfig) -> OnnxBackend:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = config.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = _providers(config, onnxruntime.get_available_providers())
        try:
            return cls(onnxruntime.InferenceSession(config.artifact_path, options, providers=providers))
        except UnusableArtifact:
            raise
        except Exception as error:
            raise UnusableArtifact(
                say("onnxruntime could not open the model: %(error)s", error=shortened(error))
            ) from error

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        given = {
            name: as_texts(array, name) if array.dtype == OBJECT else array
            for name, array in zip(self._inputs, inputs, strict=True)
        }
        outputs: list[Array] = self._session.run(self._outputs, given)
        return [_encoded(array) if array.dtype == OBJECT else array for array in outputs]


BACKEND = OnnxBackend


def _providers(config: InstanceConfig, available: Sequence[str]) -> list[Any]:
    """What onnxruntime shall run on, first choice first. Raises UnusableArtifact."""
    if CUDA in available:
        chosen = devices.choose(config)
        if chosen.type == "cuda":
            return [(CUDA, {"device_id": chosen.index}), "CPUExecutionProvider"]
    elif devices.wished(config.device, os.environ).startswith("cuda"):
        raise UnusableArtifact(
            say("Its policy asks for the device %(wish)s; this onnxruntime has the CPU only.", wish=config.device)
        )
    return ["CPUExecutionProvider"]


def _encoded(array: Array) -> Array:
    return as_array(
        [element.encode() if isinstance(element, str) else element for element in array.ravel()], array.shape
    )


def _spec(item: Any, side: str) -> TensorSpec:
    if item.type not in _DATATYPES:
        raise UnusableArtifact(
            say(
                "The model's %(side)s %(name)s is %(type)s, which ONNX models cannot be served with here (numpy, by "
                "which onnxruntime takes tensors, has no such type): cast it inside the model.",
                side=side,
                name=repr(item.name),
                type=item.type,
            )
        )
    shape = tuple(size if isinstance(size, int) and size > 0 else VARIABLE for size in item.shape)
    return TensorSpec(item.name, _DATATYPES[item.type], shape)
