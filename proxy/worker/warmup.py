"""Sample inputs that satisfy a signature, and the executions that an instance makes before it calls itself ready."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

import numpy as np

from proxy.core.tensors import VARIABLE, Signature, TensorSpec
from proxy.core.words import say
from proxy.worker.backends.base import Array, Backend, UnusableArtifact
from proxy.worker.dtypes import BF16, BY_NAME, OBJECT, as_array

VARIABLE_SIZES = (1, 2, 8, 16, 32, 64, 128, 224, 256, 512, 1_024, 4_096)
"""Tried in turn for dimensions that the signature leaves open, until the model accepts one."""
INTEGER_FILLS = (0, 1, 16_000)
"""Tried in turn for integer inputs: 0 and 1 are valid indices and switches, 16 000 is speech's usual sampling rate."""
WARM_RUNS = 3
"""Executions before ready: the first ones allocate, compile and page in; after three the time is steady on the CPU."""
RUNS_PER_SIZE = 2
"""Executions of each further batch size: the first plans and allocates, the second shows that it is over."""
WARM_BUDGET_S = 20.0
"""Bound of all warm-up together. Larger: slower starts of large models; a load may take 120 s by default."""
MAX_SAMPLE_ELEMENTS = 16_777_216
_NOT_INTEGERS = frozenset({"FP16", "BF16", "FP32", "FP64", "BOOL", "BYTES"})
SAMPLE_TEXT = "text"


def parse_sample_option(text: str | None) -> Mapping[str, Mapping[str, Any]]:
    """Read the option `sample`: `{"input": {"shape": [1, 512], "fill": 1}}`, both optional. Raises UnusableArtifact."""
    if not text:
        return {}
    try:
        value = json.loads(text)
        usable = all(_is_hint(hint) for hint in value.values())
    except (ValueError, AttributeError):
        usable = False
    if not usable:
        raise UnusableArtifact(
            say(
                'The option sample must look like {"input name": {"shape": [1, 512], "fill": 1}}; '
                "both fields are optional."
            )
        )
    return dict(value)


def _is_hint(hint: object) -> bool:
    if not isinstance(hint, dict) or set(hint) - {"shape", "fill"}:
        return False
    sizes, fill = hint.get("shape", []), hint.get("fill", 0)
    return (
        isinstance(sizes, list)
        and all(type(s) is int and s >= 0 for s in sizes)
        and isinstance(fill, (int, float, str))
    )


def samples(signature: Signature, hints: Mapping[str, Mapping[str, Any]], rows: int) -> Iterator[list[Array]]:
    """Yield sets of inputs of `rows` rows, one for each guess of the sizes that the signature leaves open."""
    is_open = any(VARIABLE in spec.shape[1:] for spec in signature.inputs if "shape" not in hints.get(spec.name, {}))
    guesses_integers = any(
        spec.datatype not in _NOT_INTEGERS and "fill" not in hints.get(spec.name, {}) for spec in signature.inputs
    )
    fills = INTEGER_FILLS if guesses_integers else INTEGER_FILLS[:1]
    for size in VARIABLE_SIZES if is_open else (1,):
        shapes = [_shape(spec, hints.get(spec.name, {}), rows, size) for spec in signature.inputs]
        if sum(int(np.prod(shape)) for shape in shapes) > MAX_SAMPLE_ELEMENTS:
            return
        for fill in fills:
            yield [
                _values(spec, shape, hints.get(spec.name, {}), fill)
                for spec, shape in zip(signature.inputs, shapes, strict=True)
            ]


def find_sample(
    backend: Backend, signature: Signature, hints: Mapping[str, Mapping[str, Any]], rows: int
) -> tuple[list[Array], Sequence[Array]]:
    """Return the first sample that the model accepts and its outputs. Raises the model's error for the last one."""
    failure: Exception | None = None
    for inputs in samples(signature, hints, rows):
        try:
            return inputs, backend.run(inputs)
        except Exception as error:
            failure = error
    raise failure or UnusableArtifact(
        say("A sample of the declared shapes is too large to try; declare the option sample.")
    )


def same_with_rows(sample: Sequence[Array], rows: int) -> list[Array]:
    """Return the sample's shapes with `rows` rows; rows of real numbers differ, others repeat the sample's first."""
    joined = []
    for array in sample:
        repeated = np.repeat(array[:1], rows, axis=0)
        if array.dtype.kind == "f":
            scale = np.linspace(1.0, 0.5, rows, dtype=np.float64).reshape((rows,) + (1,) * (array.ndim - 1))
            repeated = (repeated * scale).astype(array.dtype)
        joined.append(repeated)
    return joined


def warm_up(
    backend: Backend,
    signature: Signature,
    hints: Mapping[str, Mapping[str, Any]],
    log: Callable[[str], None],
    *,
    recorded: Sequence[Array] = (),
    batch_rows: Sequence[int] = (),
    clock_s: Callable[[], float] = monotonic,
) -> None:
    """Execute until times are steady, then each of `batch_rows` (of a batchable version), within `WARM_BUDGET_S`.

    `recorded`: inputs that the model is known to take; else they are guessed. A model that refuses every guess is
    served cold, one that refuses a size without it, and the log says so.
    """
    until_s = clock_s() + WARM_BUDGET_S
    try:
        inputs = [array[:1] for array in recorded] if recorded and batch_rows else list(recorded)
        if not inputs:
            inputs, _ = find_sample(backend, signature, hints, rows=1)
        for _ in range(WARM_RUNS - 1):
            backend.run(inputs)
    except Exception as error:
        log(f"no warm-up: the model refused every sample: {error}")
        return
    elements = sum(array.size for array in inputs)
    for rows in batch_rows:
        if rows == 1:
            continue
        if clock_s() >= until_s or elements * rows > MAX_SAMPLE_ELEMENTS:
            log(f"no warm-up for {rows} rows and more: it would take too long or too much memory")
            return
        try:
            joined = same_with_rows(inputs, rows)
            for _ in range(RUNS_PER_SIZE):
                backend.run(joined)
        except Exception as error:
            log(f"no warm-up for {rows} rows: {error}")
            return


def _shape(spec: TensorSpec, hint: Mapping[str, Any], rows: int, size: int) -> tuple[int, ...]:
    if "shape" in hint:
        wanted = tuple(hint["shape"])
        if not spec.accepts_shape(wanted):
            raise UnusableArtifact(
                say("The option sample gives %(name)s a shape that its signature does not allow.", name=repr(spec.name))
            )
        return (rows, *wanted[1:]) if spec.shape[:1] == (VARIABLE,) else wanted
    first = tuple(rows if value == VARIABLE else value for value in spec.shape[:1])
    return first + tuple(size if value == VARIABLE else value for value in spec.shape[1:])


def _values(spec: TensorSpec, shape: tuple[int, ...], hint: Mapping[str, Any], fill: int) -> Array:
    dtype = BY_NAME[spec.datatype]
    if dtype == OBJECT:
        text = str(hint.get("fill", SAMPLE_TEXT)).encode()
        return as_array([text] * int(np.prod(shape)), shape)
    if dtype == BF16:
        reals = _values(TensorSpec(spec.name, "FP32", spec.shape), shape, hint, fill)
        return (np.ascontiguousarray(reals).view(np.uint32) >> 16).astype(np.uint16).view(BF16)
    if "fill" in hint:
        return np.full(shape, hint["fill"], dtype)
    if dtype.kind == "f":
        # Different rows, so that a model that mixes rows shows it; seeded, so that two runs agree.
        return np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return np.full(shape, min(fill, 1) if dtype.itemsize == 1 else fill, dtype)
