"""Golden samples: what an instance must reproduce before it serves.

Place: after warm-up, before READY. Rules: the document's bytes are read before the sandbox closes and parsed after;
|got - expected| <= atol + rtol x |expected| for every element of a float output, equality for any other; the first
difference fails the load in words with the output, the largest difference and the tolerance. Samples of a version that
is not batchable run one by one as well as those of one that is: each is one execution.
Source of the tolerance's form: numpy.isclose.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from proxy.core.tensors import Signature
from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import say
from proxy.frames.config import InstanceConfig
from proxy.worker.backends.base import Array, Backend, UnusableArtifact, shortened
from proxy.worker.collate import check_outputs
from proxy.worker.dtypes import BF16, BY_NAME, OBJECT, as_array, as_floats

MAX_DOCUMENT_BYTES = 32 * BYTES_PER_MIB
"""Twice what the control plane keeps at most (32 samples of 512 KiB)."""


@dataclass(frozen=True, slots=True)
class GoldenSample:
    """Inputs in the signature's order, expected outputs by name (at least one), and how far off they may be."""

    inputs: list[Array]
    outputs: Mapping[str, Array]
    rtol: float
    atol: float


def read_document(config: InstanceConfig) -> bytes:
    """Return the document's bytes, empty if there is none. Raises UnusableArtifact. Must run before the sandbox."""
    if not config.golden_path:
        return b""
    path = Path(config.golden_path)
    try:
        if path.stat().st_size > MAX_DOCUMENT_BYTES:
            most = MAX_DOCUMENT_BYTES // BYTES_PER_MIB
            raise UnusableArtifact(say("The golden samples take more than %(most)s MiB.", most=most))
        document = path.read_bytes()
    except OSError as error:
        raise UnusableArtifact(say("The golden samples cannot be read: %(error)s.", error=error.strerror)) from error
    if config.golden_digest and hashlib.sha256(document).hexdigest() != config.golden_digest:
        raise UnusableArtifact(say("The stored golden samples are damaged: their SHA-256 differs. Save them again."))
    return document


def parse(document: bytes, signature: Signature) -> list[GoldenSample]:
    """Read the document. Pure. Raises UnusableArtifact if it does not fit the signature."""
    if not document:
        return []
    try:
        value = json.loads(document)
        return [_sample(sample, value, signature) for sample in value["samples"]]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise UnusableArtifact(
            say("The golden samples do not fit the signature: %(error)s.", error=shortened(error, 300))
        ) from error


def check(backend: Backend, signature: Signature, samples: Sequence[GoldenSample], *, batchable: bool) -> None:
    """Execute every sample. Raises UnusableArtifact for the first output that is not what is expected."""
    for number, sample in enumerate(samples, 1):
        try:
            outputs = backend.run(sample.inputs)
            check_outputs(outputs, signature, len(sample.inputs[0]) if batchable else None)
        except Exception as error:
            raise UnusableArtifact(
                say("Golden sample %(number)s: the model failed: %(error)s", number=number, error=shortened(error, 500))
            ) from error
        for spec, got in zip(signature.outputs, outputs, strict=True):
            expected = sample.outputs.get(spec.name)
            words = "" if expected is None else difference(got, expected, sample.rtol, sample.atol)
            if words:
                raise UnusableArtifact(
                    say(
                        "Golden sample %(number)s: output %(name)s %(difference)s.",
                        number=number,
                        name=repr(spec.name),
                        difference=words,
                    )
                )


def difference(got: Array, expected: Array, rtol: float, atol: float) -> str:
    """Say how `got` differs from `expected` beyond the tolerance; empty if it does not. Pure."""
    if got.shape != expected.shape:
        shapes = {"shape": list(got.shape), "expected": list(expected.shape)}
        return say("has shape %(shape)s; expected is %(expected)s", **shapes)
    if expected.dtype != BF16 and expected.dtype.kind != "f":
        wrong = int(np.count_nonzero(got != expected))
        if not wrong:
            return ""
        return say("differs in %(wrong)s of %(count)s elements, which must be equal", wrong=wrong, count=got.size)
    ours, theirs = as_floats(got).astype(np.float64), as_floats(expected).astype(np.float64)
    with np.errstate(invalid="ignore"):
        beyond = ~np.isclose(ours, theirs, rtol, atol, equal_nan=True)
        if not beyond.any():
            return ""
        largest = np.abs(ours - theirs)[beyond].max()
    wrong = int(np.count_nonzero(beyond))
    return say(
        "differs by up to %(largest)s in %(wrong)s of %(count)s elements; "
        "the tolerance is %(atol)s + %(rtol)s x |expected|",
        largest=f"{largest:.6g}",
        wrong=wrong,
        count=got.size,
        atol=f"{atol:g}",
        rtol=f"{rtol:g}",
    )


def _sample(value: Mapping[str, Any], document: Mapping[str, Any], signature: Signature) -> GoldenSample:
    given, expected = ({one["name"]: _array(one) for one in value[side]} for side in ("inputs", "outputs"))
    datatypes = {spec.name: BY_NAME[spec.datatype] for spec in (*signature.inputs, *signature.outputs)}
    for name, array in (*given.items(), *expected.items()):
        if array.dtype != datatypes[name]:
            raise ValueError(say("%(name)s has another datatype there", name=repr(name)))
    if not expected:
        raise ValueError(say("a sample expects nothing"))
    rtol, atol = (float(value.get(key, document[key])) for key in ("rtol", "atol"))
    return GoldenSample([given[spec.name] for spec in signature.inputs], expected, rtol, atol)


def _array(tensor: Mapping[str, Any]) -> Array:
    """A tensor as the control plane writes it: flat, JSON values, `datatype` and `shape` beside."""
    dtype, shape, data = BY_NAME[tensor["datatype"]], tuple(tensor["shape"]), tensor["data"]
    if len(data) != prod(shape):
        counts = {"count": len(data), "wanted": prod(shape)}
        raise ValueError(say("%(name)s has %(count)s elements, not %(wanted)s", name=repr(tensor["name"]), **counts))
    if dtype == OBJECT:
        return as_array([element.encode() for element in data], shape)
    if dtype == BF16:
        return _bf16(np.array(data, np.float32)).reshape(shape)
    return np.array(data, dtype).reshape(shape)


def _bf16(reals: Array) -> Array:
    """Round to nearest, ties to even, as torch does."""
    bits = reals.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).view(BF16)
