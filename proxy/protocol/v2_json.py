"""A V2 JSON body → a request's values. Called once for each request, on the event loop.

Two ways that give the same values: the fast one decodes straight into the types that the version's signature asks for
and packs; whatever it does not recognise goes to `careful.read`, which reads every legal form and names what is wrong.
Rules: a float's sign of zero is kept; data that overflows its datatype is refused; inputs come out in the
signature's order; rows are the first dimension of a batchable version's inputs, else 1.
Source: Open Inference Protocol, REST, "Inference Request JSON Object".
"""

from __future__ import annotations

from math import prod
from typing import Any, Union

import msgspec

from proxy.core.errors import Reason, TooLarge
from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import DATATYPES, VARIABLE, Tensor, TensorSpec
from proxy.protocol import careful, packing
from proxy.protocol.limits import DEFAULT_LIMITS, Limits
from proxy.protocol.parameters import (
    ALL_AS_JSON,
    NO_PARAMETERS,
    Outputs,
    RequestParameters,
    request_parameters,
    requested_outputs,
)
from proxy.protocol.parsed import ParsedRequest
from proxy.protocol.per_version import PerVersion
from proxy.protocol.tensor_data import NEGATIVE_ZERO_HINT, list_type
from proxy.protocol.words import MALFORMED

MAX_PACKERS = 256  # element counts for which one input keeps its compiled packer


def parse(
    body: bytes | bytearray | memoryview, call_version: VersionSnapshot, limits: Limits = DEFAULT_LIMITS
) -> ParsedRequest:
    """The request in `body` for `call_version`. Raises InvalidRequest (names the field) or TooLarge."""
    if isinstance(body, memoryview):
        body = bytes(body)
    if len(body) <= limits.fast_body_bytes:
        parsed = _plans.get(call_version).read(body, limits)
        if parsed is not None:
            return parsed
    elif len(body) > limits.max_body_bytes:
        raise TooLarge(Reason.BODY_TOO_LARGE, f"The body exceeds {limits.max_body_bytes} bytes.")
    return careful.read(body, call_version, limits)


class _Input:
    """One input's checks and packers. `kind` is the struct that it is decoded into, `is_only` if there is no other.

    `fixed_elements`: elements of a row, where all sizes but the first are fixed. `zero`: the bytes of a float's zero.
    """

    __slots__ = ("_packers", "datatype", "fixed", "fixed_elements", "is_only", "kind", "name", "rank", "spec", "zero")

    def __init__(self, spec: TensorSpec, kind: Any, *, is_only: bool) -> None:
        self.spec = spec
        self.kind = kind
        self.is_only = is_only
        self.name = spec.name
        self.datatype = spec.datatype
        is_float = packing.element_type(spec.datatype) is float
        self.zero = bytes(DATATYPES[spec.datatype].size_bytes) if is_float else b""
        self.rank = len(spec.shape)
        self.fixed = spec.shape[1:]
        free_first = self.rank > 0 and spec.shape[0] == VARIABLE and VARIABLE not in self.fixed
        self.fixed_elements = prod(self.fixed) if free_first else 0
        self._packers: dict[int, packing.Packer] = {}

    def tensor(self, item: Any) -> Tensor | None:
        """The packed tensor, or None where what was decoded does not fit the declaration."""
        if type(item) is not self.kind or item.datatype != self.datatype:
            return None
        if self.is_only and item.name != self.name:
            return None
        shape: tuple[int, ...] = item.shape
        data: list[Any] = item.data
        elements = len(data)
        if not elements:
            return None
        if self.fixed_elements:
            if len(shape) != self.rank or shape[1:] != self.fixed or shape[0] * self.fixed_elements != elements:
                return None
        elif not self.spec.accepts_shape(shape) or (shape and min(shape) < 1) or prod(shape) != elements:
            return None
        packer = self._packers.get(elements)
        if packer is None:
            if len(self._packers) >= MAX_PACKERS:
                self._packers.clear()
            packer = self._packers[elements] = packing.packer(self.datatype, elements)
        return Tensor(self.name, self.datatype, shape, packer(*data))


class _Plan:
    """The compiled fast path of one version."""

    __slots__ = ("_decoder", "_inputs", "_version")

    def __init__(self, version: VersionSnapshot) -> None:
        specs = version.signature.inputs
        elements = [packing.element_type(spec.datatype) for spec in specs]
        self._version = version
        self._decoder: msgspec.json.Decoder[Any] | None = None
        self._inputs: tuple[_Input, ...] = ()
        if specs and len({s.name for s in specs}) == len(specs):
            kinds, is_only = _input_kinds(specs, elements), len(specs) == 1
            self._inputs = tuple(_Input(spec, kind, is_only=is_only) for spec, kind in zip(specs, kinds, strict=True))
            self._decoder = msgspec.json.Decoder(_request_kind(kinds))

    def read(self, body: bytes | bytearray, limits: Limits) -> ParsedRequest | None:
        """The request, or None where the careful way has to look. Raises only for parameters and outputs."""
        if self._decoder is None:
            return None
        try:
            request = self._decoder.decode(body)
        except MALFORMED:
            return None
        try:
            tensors = self._tensors(request.inputs)
        except packing.OUT_OF_RANGE:
            return None
        if tensors is None:
            return None
        if self._hold_zero(tensors) and NEGATIVE_ZERO_HINT.search(body):
            return None
        request_id = request.id
        if request_id is not None and len(request_id.encode()) > limits.max_id_bytes:
            return None
        rows = 1
        if self._version.batchable and tensors[0].shape:
            rows = tensors[0].shape[0]
            if len(tensors) > 1 and any(tensor.shape[:1] != (rows,) for tensor in tensors[1:]):
                return None
        if not len(request.parameters) and not len(request.outputs):
            return ParsedRequest(request_id, tensors, rows, None, 0, None)
        asked, outputs = self._asked(request, limits)
        return ParsedRequest(
            request_id, tensors, rows, outputs.names, asked.priority, asked.timeout_us, outputs.binary, outputs.classes
        )

    def _asked(self, request: Any, limits: Limits) -> tuple[RequestParameters, Outputs]:
        asked, outputs = NO_PARAMETERS, ALL_AS_JSON
        if len(request.parameters):
            asked = request_parameters(request.parameters, limits)
        if len(request.outputs) or asked.binary_output:
            binary = asked.binary_output
            outputs = requested_outputs(request.outputs, self._version, limits, binary_default=binary)
        return asked, outputs

    def _hold_zero(self, tensors: tuple[Tensor, ...]) -> bool:
        """True if some float may be zero. Bytes are looked through ten times as fast as the text for a zero's sign."""
        for declared, tensor in zip(self._inputs, tensors, strict=True):
            if declared.zero and declared.zero in tensor.data:
                return True
        return False

    def _tensors(self, given: list[Any]) -> tuple[Tensor, ...] | None:
        if len(given) != len(self._inputs):
            return None
        tensors = []
        for declared, item in zip(self._inputs, given, strict=True):
            tensor = declared.tensor(item)
            if tensor is None:
                return None
            tensors.append(tensor)
        return tuple(tensors)


def _input_kinds(specs: tuple[TensorSpec, ...], elements: list[type]) -> tuple[Any, ...]:
    """A struct for each input. Several inputs are told apart by their name, which is the union's tag."""
    kinds = []
    for index, (spec, element) in enumerate(zip(specs, elements, strict=True)):
        fields: list[tuple[str, Any]] = [
            ("datatype", str),
            ("shape", tuple[int, ...]),
            ("data", list_type(element, 1)),
        ]
        tagged: dict[str, Any] = {"tag_field": "name", "tag": spec.name}
        if len(specs) == 1:
            fields, tagged = [("name", str), *fields], {}
        kinds.append(msgspec.defstruct(f"Input{index}", fields, forbid_unknown_fields=True, **tagged))
    return tuple(kinds)


def _request_kind(kinds: tuple[Any, ...]) -> Any:
    raw = msgspec.Raw
    fields: list[Any] = [
        ("inputs", list[Union[kinds]]),  # type: ignore[valid-type]  # noqa: UP007  built at run time
        ("id", str | None, None),
        ("parameters", raw, raw()),
        ("outputs", raw, raw()),
    ]
    return msgspec.defstruct("Request", fields, forbid_unknown_fields=True)


_plans: PerVersion[_Plan] = PerVersion(_Plan)
