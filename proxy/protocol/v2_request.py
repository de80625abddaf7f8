"""A body in any of its forms → a request's values: what the pipeline calls.

    compressed → inflate → JSON alone → v2_json
                         → JSON and raw tensors → careful.read with the tensors as slices of the body
                         → one raw tensor (JSON length 0)

Source: Open Inference Protocol, REST; Triton's binary tensor data extension.
"""

from __future__ import annotations

from proxy.core.errors import InvalidRequest, Reason, TooLarge
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import BYTES_PER_MIB
from proxy.protocol import binary_parts, careful, v2_json
from proxy.protocol.inflate import inflate
from proxy.protocol.limits import DEFAULT_LIMITS, Limits
from proxy.protocol.media import PLAIN, BodyForm
from proxy.protocol.parsed import ParsedRequest

# JSON longer than this is read beside the event loop: 1 MiB takes it about 25 ms. Smaller: more hand-overs of 0.1 ms.
# The same holds for raw strings, whose lengths are walked: 1 MiB of empty ones takes about as long.
HEAVY_JSON_BYTES = BYTES_PER_MIB

# A compressed body up to this length is read on the loop: it holds at most 1.8 MiB (see `inflate`).
LIGHT_CODED_BYTES = 8_192

Body = bytes | bytearray | memoryview


def is_heavy(body: Body, form: BodyForm, version: VersionSnapshot) -> bool:
    """True if reading the body takes long enough to be felt by others on the loop."""
    if form.coding:
        return len(body) > LIGHT_CODED_BYTES
    if form.json_bytes is None:
        return len(body) > HEAVY_JSON_BYTES
    if HEAVY_JSON_BYTES < form.json_bytes <= len(body):
        return True
    return len(body) > HEAVY_JSON_BYTES and any(spec.datatype == "BYTES" for spec in version.signature.inputs)


def parse(
    body: Body, version: VersionSnapshot, limits: Limits = DEFAULT_LIMITS, form: BodyForm = PLAIN
) -> ParsedRequest:
    """The request in `body` for `version`. Raises InvalidRequest (names the field) or TooLarge."""
    if form is PLAIN:
        return v2_json.parse(body, version, limits)
    if len(body) > limits.max_body_bytes:
        raise TooLarge(Reason.BODY_TOO_LARGE, f"The body exceeds {limits.max_body_bytes} bytes.")
    if form.coding:
        body = inflate(body, form.coding, limits)
    if form.json_bytes is None:
        return v2_json.parse(body, version, limits)
    view = memoryview(body)
    if form.json_bytes == 0:
        return _raw(view, version, limits)
    if form.json_bytes > len(view):
        message = f"Inference-Header-Content-Length: {form.json_bytes} bytes of JSON, but the body has {len(view)}."
        raise InvalidRequest(Reason.INVALID_REQUEST, message)
    return careful.read(bytes(view[: form.json_bytes]), version, limits, view[form.json_bytes :])


def _raw(view: memoryview, version: VersionSnapshot, limits: Limits) -> ParsedRequest:
    """A body that is the one input's bytes: one row, every output comes back raw."""
    inputs = version.signature.inputs
    if len(inputs) != 1:
        message = f"Inference-Header-Content-Length: 0 is for models with one input; this one has {len(inputs)}."
        raise InvalidRequest(Reason.INVALID_REQUEST, message)
    tensor = binary_parts.raw_tensor(view, inputs[0], limits, batchable=version.batchable)
    binary = frozenset(spec.name for spec in version.signature.outputs)
    return ParsedRequest(None, (tensor,), 1, None, 0, None, binary)
