"""Tensors of a golden sample as JSON, checked against a signature and written one way: flat, in its order. Pure.

Rules: what is kept is what an instance can be held to, so every name, datatype, shape and value is checked here, once,
and a wrong one is refused with the tensor's name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from models_admin.services.errors import Invalid
from proxy.core.tensors import TensorSpec

MAX_ELEMENTS = 65_536
"""Elements of one tensor. Larger: longer loads, since each instance executes every sample before it serves."""
MAX_DIMENSIONS = 16
# The least magnitude that rounds to infinity (for FP64 that of a whole number; a fraction there is infinite already).
_ROUNDS_TO_INFINITY = {
    "FP16": 65_520,
    "BF16": (1 << 128) - (1 << 119),
    "FP32": (1 << 128) - (1 << 103),
    "FP64": (1 << 1_024) - (1 << 970),
}
_INTEGER_BITS = {"UINT8": 8, "UINT16": 16, "UINT32": 32, "UINT64": 64, "INT8": 8, "INT16": 16, "INT32": 32, "INT64": 64}


def check_sample(
    inputs: Any, outputs: Any, *, input_specs: Sequence[TensorSpec], output_specs: Sequence[TensorSpec], batchable: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Inputs and outputs in the one form. All inputs are needed, at least one output; rows agree where batchable.

    Raises Invalid with `field` `inputs` or `outputs`.
    """
    given = _tensors(inputs, input_specs, "inputs")
    missing = [spec.name for spec in input_specs if spec.name not in given]
    if missing:
        raise Invalid(_("inputs: %(names)s is missing.") % {"names": ", ".join(missing)}, field="inputs")
    expected = _tensors(outputs, output_specs, "outputs")
    if not expected:
        raise Invalid(_("outputs: give at least one expected output."), field="outputs")
    if batchable:
        rows = {tensor["shape"][0] for tensor in (*given.values(), *expected.values())}
        if len(rows) != 1:
            counts = ", ".join(str(count) for count in sorted(rows))
            raise Invalid(
                _("outputs: the first dimension is rows; here it is %(counts)s.") % {"counts": counts}, field="outputs"
            )
    return _ordered(given, input_specs), _ordered(expected, output_specs)


def _ordered(tensors: Mapping[str, dict[str, Any]], specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [tensors[spec.name] for spec in specs if spec.name in tensors]


def _tensors(value: Any, specs: Sequence[TensorSpec], field: str) -> dict[str, dict[str, Any]]:
    if not isinstance(value, list):
        raise Invalid(_("%(field)s: give a list of tensors.") % {"field": field}, field=field)
    known = {spec.name: spec for spec in specs}
    found: dict[str, dict[str, Any]] = {}
    for tensor in value:
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or name not in known:
            raise Invalid(
                _("%(field)s: name one of %(names)s; not %(name)s.")
                % {"field": field, "names": ", ".join(known), "name": f"{name!r:.60}"},
                field=field,
            )
        if name in found:
            raise Invalid(_("%(field)s: %(name)s is given twice.") % {"field": field, "name": name}, field=field)
        found[name] = _tensor(tensor, known[name], field)
    return found


def _tensor(tensor: Mapping[str, Any], spec: TensorSpec, field: str) -> dict[str, Any]:
    unknown = set(tensor) - {"name", "datatype", "shape", "data", "parameters"}
    if unknown:
        raise Invalid(
            _("%(field)s: %(name)s has unknown fields %(names)s.")
            % {"field": field, "name": spec.name, "names": ", ".join(sorted(unknown))[:100]},
            field=field,
        )
    if tensor.get("datatype") != spec.datatype:
        raise Invalid(
            _("%(field)s: %(name)s is %(datatype)s, not %(datatype2)s.")
            % {
                "field": field,
                "name": spec.name,
                "datatype": spec.datatype,
                "datatype2": f"{tensor.get('datatype')!r:.40}",
            },
            field=field,
        )
    shape = _shape(tensor.get("shape"), spec, field)
    elements = math.prod(shape)
    if not 0 < elements <= MAX_ELEMENTS:
        raise Invalid(
            _("%(field)s: %(name)s may have 1 to %(max_elements)s elements.")
            % {"field": field, "name": spec.name, "max_elements": MAX_ELEMENTS},
            field=field,
        )
    data = []
    for element in _flat(tensor.get("data"), spec, field):
        data.append(_element(element, spec, field))
        if len(data) > elements:
            break
    if len(data) != elements:
        raise Invalid(
            _("%(field)s: %(name)s has the shape %(shape)s, so %(elements)s elements.")
            % {"field": field, "name": spec.name, "shape": list(shape), "elements": elements},
            field=field,
        )
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(shape), "data": data}


def _shape(value: Any, spec: TensorSpec, field: str) -> tuple[int, ...]:
    sound = isinstance(value, list) and len(value) <= MAX_DIMENSIONS and all(type(size) is int for size in value)
    if not sound or any(size < 0 for size in value) or not spec.accepts_shape(tuple(value)):
        raise Invalid(
            _("%(field)s: %(name)s has the shape %(shape)s (-1: any size).")
            % {"field": field, "name": spec.name, "shape": list(spec.shape)},
            field=field,
        )
    return tuple(value)


def _flat(value: Any, spec: TensorSpec, field: str, depth: int = 0) -> Iterator[Any]:
    if not isinstance(value, list) or depth > MAX_DIMENSIONS:
        raise Invalid(
            _("%(field)s: %(name)s: data is a list of elements, flat or nested.") % {"field": field, "name": spec.name},
            field=field,
        )
    for part in value:
        if isinstance(part, list):
            yield from _flat(part, spec, field, depth + 1)
        else:
            yield part


def _element(value: Any, spec: TensorSpec, field: str) -> Any:
    if spec.datatype == "BOOL":
        good = isinstance(value, bool)
    elif spec.datatype == "BYTES":
        good = isinstance(value, str) and _is_storable(value)
    elif spec.datatype in _ROUNDS_TO_INFINITY:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        good = good and abs(value) < _ROUNDS_TO_INFINITY[spec.datatype]  # exact, and False for NaN
    else:
        good = isinstance(value, int) and not isinstance(value, bool) and _in_range(value, spec.datatype)
    if not good:
        raise Invalid(
            _("%(field)s: %(value)s is no element of %(name)s (%(datatype)s).")
            % {"field": field, "value": f"{value!r:.40}", "name": spec.name, "datatype": spec.datatype},
            field=field,
        )
    return value


def _is_storable(text: str) -> bool:
    """False for what PostgreSQL's jsonb takes not: NUL, or half of a surrogate pair (which no instance can be sent)."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _in_range(value: int, datatype: str) -> bool:
    bits = _INTEGER_BITS[datatype]
    return 0 <= value < 1 << bits if datatype.startswith("U") else -(1 << (bits - 1)) <= value < 1 << (bits - 1)
