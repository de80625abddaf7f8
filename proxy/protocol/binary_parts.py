"""The raw tensors that stand behind the JSON part of a body, as slices of it: nothing is copied.

Rules: parts are taken in the order of `inputs` and must use the bytes up exactly; a part's size must be what shape and
datatype ask for; BOOL bytes are 0 or 1, since anything else would mean different things to different models; the
lengths in a BYTES part must lead from element to element to its very end.
Source: Triton's binary tensor data extension (little-endian, row-major, no padding; a raw request for BYTES holds one
element without a length).
"""

from __future__ import annotations

from math import prod

from proxy.core.errors import InvalidRequest, Reason, TooLarge
from proxy.core.tensors import DATATYPES, VARIABLE, Tensor, TensorSpec, check_elements, join_elements
from proxy.protocol.limits import Limits

_BOOLS = b"\x00\x01"


class Parts:
    """Hands out the raw bytes piece by piece. `raw` None: the body is JSON alone."""

    __slots__ = ("_at", "_raw")

    def __init__(self, raw: memoryview | None) -> None:
        self._raw = raw
        self._at = 0

    def take(self, size_bytes: int, field: str) -> memoryview:
        """The next `size_bytes`. Raises InvalidRequest if there are not as many."""
        if self._raw is None:
            message = f"{field}: raw tensors need the header Inference-Header-Content-Length."
            raise InvalidRequest(Reason.INVALID_REQUEST, message)
        end = self._at + size_bytes
        if end > len(self._raw):
            message = f"{field}: {size_bytes} bytes, but only {len(self._raw) - self._at} are left in the body."
            raise InvalidRequest(Reason.INVALID_DATA, message)
        part = self._raw[self._at : end]
        self._at = end
        return part

    def finish(self) -> None:
        """Refuse bytes that belong to no tensor."""
        if self._raw is not None and self._at != len(self._raw):
            left_bytes = len(self._raw) - self._at
            message = f"body: {left_bytes} bytes follow the last tensor; the sizes of the inputs do not add up."
            raise InvalidRequest(Reason.INVALID_DATA, message)


def tensor(part: memoryview, spec: TensorSpec, shape: tuple[int, ...], field: str) -> Tensor:
    """The tensor whose bytes are `part`, its shape already checked. `field` is the path of its size."""
    datatype = DATATYPES[spec.datatype]
    if datatype.is_variable_size:
        try:
            check_elements(part, prod(shape))
        except ValueError as error:
            raise InvalidRequest(Reason.INVALID_DATA, f"{field}: shape {list(shape)}, but {error}.") from None
        return Tensor(spec.name, spec.datatype, shape, part)
    wanted_bytes = prod(shape) * datatype.size_bytes
    if len(part) != wanted_bytes:
        message = f"{field}: {spec.datatype} of shape {list(shape)} is {wanted_bytes} bytes, got {len(part)}."
        raise InvalidRequest(Reason.INVALID_DATA, message)
    if spec.datatype == "BOOL" and bytes(part).translate(None, _BOOLS):
        raise InvalidRequest(Reason.INVALID_DATA, f"{field}: a BOOL byte is 0 or 1.")
    return Tensor(spec.name, spec.datatype, shape, part)


def raw_tensor(view: memoryview, spec: TensorSpec, limits: Limits, *, batchable: bool) -> Tensor:
    """The tensor that is a whole body."""
    if DATATYPES[spec.datatype].is_variable_size:
        return _raw_element(view, spec, limits)
    return tensor(view, spec, _raw_shape(spec, len(view), limits, batchable=batchable), "body")


def _raw_element(view: memoryview, spec: TensorSpec, limits: Limits) -> Tensor:
    """A body that is one BYTES element, its length not written before it."""
    if any(size not in (1, VARIABLE) for size in spec.shape):
        message = f"body: a raw request for BYTES is one element; the input is declared as {list(spec.shape)}."
        raise InvalidRequest(Reason.INVALID_SHAPE, message)
    data = join_elements((bytes(view),))
    if len(data) > limits.max_tensor_bytes:
        raise TooLarge(Reason.BODY_TOO_LARGE, f"body: the inputs exceed {limits.max_tensor_bytes} bytes together.")
    return Tensor(spec.name, spec.datatype, (1,) * len(spec.shape), data)


def _raw_shape(spec: TensorSpec, size_bytes: int, limits: Limits, *, batchable: bool) -> tuple[int, ...]:
    """The shape of a tensor sent without JSON: one row; one more size may be variable and is read from the length."""
    shape = (1, *spec.shape[1:]) if batchable and spec.shape else spec.shape
    if shape.count(VARIABLE) > 1:
        message = f"body: a raw request cannot say the shape of an input declared as {list(spec.shape)}."
        raise InvalidRequest(Reason.INVALID_SHAPE, message)
    unit_bytes = DATATYPES[spec.datatype].size_bytes * prod(size for size in shape if size != VARIABLE)
    if size_bytes > limits.max_tensor_bytes or not size_bytes or size_bytes % unit_bytes:
        raise _wrong_length(spec, size_bytes, unit_bytes)
    if VARIABLE not in shape and size_bytes != unit_bytes:
        raise _wrong_length(spec, size_bytes, unit_bytes)
    return tuple(size_bytes // unit_bytes if size == VARIABLE else size for size in shape)


def _wrong_length(spec: TensorSpec, size_bytes: int, unit_bytes: int) -> InvalidRequest:
    message = f"body: {spec.datatype} declared as {list(spec.shape)}, one row, is {unit_bytes} bytes"
    message += " or a multiple" if VARIABLE in spec.shape[1:] else ""
    return InvalidRequest(Reason.INVALID_DATA, f"{message}; got {size_bytes}.")
