"""What the three torch backends share: threads, device, and outputs as numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from proxy.core.tensors import Signature
from proxy.frames.config import InstanceConfig
from proxy.worker import device as devices
from proxy.worker.backends.base import Array, BadOutput


def set_up_torch(config: InstanceConfig) -> None:
    """Fix the number of threads; one between operators, since one execution runs at a time."""
    torch.set_num_threads(config.threads)
    torch.set_num_interop_threads(1)
    torch.set_grad_enabled(False)
    devices.choose()


def to_tensors(inputs: Sequence[Array], device: torch.device) -> list[torch.Tensor]:
    """Wrap arrays without copying; copy to the device where that is not the CPU."""
    tensors = [torch.from_numpy(array) for array in inputs]
    return tensors if device.type == "cpu" else [tensor.to(device, non_blocking=True) for tensor in tensors]


def to_arrays(value: Any, signature: Signature | None) -> list[Array]:
    """Flatten what a model returned into arrays in the signature's order. Raises BadOutput."""
    return [_array(item) for item in flatten(value, signature)]


def flatten(value: Any, signature: Signature | None) -> list[Any]:
    """Return the tensors of a tensor, a (named) tuple, a list or a dict keyed by output names."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        names = [spec.name for spec in signature.outputs] if signature else sorted(value)
        missing = [name for name in names if name not in value]
        if missing:
            raise BadOutput(f"The model returned a dict without {missing[0]!r}.")
        return [value[name] for name in names]
    if isinstance(value, (tuple, list)):
        return list(value)
    raise BadOutput(f"The model returned a {type(value).__name__}; a tensor, or a tuple or dict of tensors, is needed.")


def _array(item: Any) -> Array:
    if not isinstance(item, torch.Tensor):
        raise BadOutput(f"One of the model's outputs is a {type(item).__name__}, not a tensor.")
    if item.layout != torch.strided or item.is_quantized:
        raise BadOutput("One of the model's outputs is sparse or quantised; return a dense tensor.")
    try:
        return np.ascontiguousarray(item.numpy(force=True))
    except (TypeError, RuntimeError) as error:
        raise BadOutput(f"One of the model's outputs cannot be read as an array: {error}") from error
