"""What the three torch backends share: threads, device, and outputs as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from proxy.core.tensors import Signature, TensorSpec
from proxy.core.words import say
from proxy.frames.config import InstanceConfig
from proxy.worker import device as devices
from proxy.worker.backends.base import Array, BadOutput
from proxy.worker.dtypes import BF16, OBJECT, from_texts


def set_up_torch(config: InstanceConfig) -> None:
    """Fix the number of threads; one between operators, since one execution runs at a time."""
    torch.set_num_threads(config.threads)
    torch.set_num_interop_threads(1)
    torch.set_grad_enabled(False)
    devices.choose(config)


def to_tensors(inputs: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Wrap arrays without copying; copy to the device where that is not the CPU."""
    return [to_tensor(array, device) for array in inputs]


def to_tensor(array: Array, device: torch.device) -> torch.Tensor:
    """One array on the device. Raises TypeError for strings, which have no tensor."""
    if array.dtype == OBJECT:
        raise TypeError(say("This backend has no tensors of strings; TorchScript (List[str]) and ONNX take BYTES."))
    tensor = (
        torch.from_numpy(array.view(np.int16)).view(torch.bfloat16) if array.dtype == BF16 else torch.from_numpy(array)
    )
    return tensor if device.type == "cpu" else tensor.to(device, non_blocking=True)


def to_arrays(value: Any, signature: Signature | None) -> list[Array]:
    """Flatten what a model returned into arrays in the signature's order. Raises BadOutput."""
    items = flatten(value, signature)
    specs = signature.outputs if signature is not None and len(signature.outputs) == len(items) else [None] * len(items)
    return [_array(item, spec) for item, spec in zip(items, specs, strict=True)]


def flatten(value: Any, signature: Signature | None) -> list[Any]:
    """Return the tensors of a tensor, a (named) tuple, a list or a dict keyed by output names."""
    if type(value) is torch.Tensor or isinstance(value, (torch.Tensor, str)) or _is_strings(value, signature):
        return [value]
    if isinstance(value, dict):
        names = [spec.name for spec in signature.outputs] if signature else sorted(value)
        missing = [name for name in names if name not in value]
        if missing:
            raise BadOutput(say("The model returned a dict without %(name)s.", name=repr(missing[0])))
        return [value[name] for name in names]
    if isinstance(value, (tuple, list)):
        return list(value)
    raise BadOutput(
        say(
            "The model returned a %(type)s; a tensor, or a tuple or dict of tensors, is needed.",
            type=type(value).__name__,
        )
    )


def _is_strings(value: Any, signature: Signature | None) -> bool:
    """True for a list that is one output: of strings, or empty where the one output is BYTES."""
    if not isinstance(value, list):
        return False
    if not value:
        return signature is not None and [spec.datatype for spec in signature.outputs] == ["BYTES"]
    return isinstance(value[0], str) or _is_strings(value[0], None)


def _array(item: Any, spec: TensorSpec | None) -> Array:
    if type(item) is torch.Tensor:  # nearly every one; isinstance asks torch's metaclass, ten times as long
        return _array_of(item)
    if isinstance(item, str) or _is_strings(item, None) or (isinstance(item, list) and not item):
        return from_texts(item, spec)
    if not isinstance(item, torch.Tensor):
        raise BadOutput(say("One of the model's outputs is a %(type)s, not a tensor.", type=type(item).__name__))
    return _array_of(item)


def _array_of(item: torch.Tensor) -> Array:
    if item.layout != torch.strided or item.is_quantized:
        raise BadOutput(say("One of the model's outputs is sparse or quantised; return a dense tensor."))
    try:
        if item.dtype == torch.bfloat16:
            return np.ascontiguousarray(item.contiguous().view(torch.int16).numpy(force=True)).view(BF16)
        return np.ascontiguousarray(item.numpy(force=True))
    except (TypeError, RuntimeError) as error:
        raise BadOutput(say("One of the model's outputs cannot be read as an array: %(error)s", error=error)) from error
