"""The inside of validation: a sandboxed process that opens one artifact, runs it on samples and reports every step.

Place: started by `proxy.worker.validate`, which bounds its time and tells of its end if this process cannot.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from proxy.core.tensors import VARIABLE, Signature, TensorSpec
from proxy.core.words import Words, joined, of_error, say
from proxy.frames.config import InstanceConfig, InvalidConfig, signature_to_dict
from proxy.worker import golden
from proxy.worker.backends.base import Array, Backend, BadOutput, UnusableArtifact, shortened
from proxy.worker.collate import check_outputs
from proxy.worker.dtypes import BF16, as_floats
from proxy.worker.sandbox import LimitTooLow
from proxy.worker.serving import confine, open_artifact, open_checked, resident_bytes
from proxy.worker.warmup import find_sample, parse_sample_option, same_with_rows

BATCH_ROWS = 3
MEASURED_RUNS = 10
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-2, 1e-3
BF16_TOLERANCE = 0.02  # its last digit is worth 0.8%; larger: models that mix rows slightly pass
"""How far a row may differ between a batch and alone: kernels for other sizes round otherwise."""

MAX_NAME_CHARACTERS = 256
HOW_TO_DECLARE = say(
    "TorchScript archives do not say the shapes of their inputs and outputs. Declare the signature with the upload, "
    'for example {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}], "outputs": [{"name": "y", '
    '"datatype": "FP32", "shape": [-1, 10]}]}, or save it in the archive: torch.jit.save(module, path, '
    '_extra_files={"dlproxy.json": json.dumps(signature)}). -1 is a size that may vary.'
)


class StepFailed(Exception):
    """The artifact fails this step; the words are the uploader's."""


@dataclass
class Validation:
    """Runs the steps in order; each reports `running`, then how it ended."""

    config: InstanceConfig
    parent_pid: int
    scratch: str
    report_fd: int
    load_time_ms: float = 0.0
    latency_ms: float = 0.0
    sample: list[Array] = field(default_factory=list)

    def run(self) -> bool:
        """Return True if every step passed and the result was reported."""
        try:
            with Step(self, "sandbox") as step:
                document = golden.read_document(self.config)
                backend_class, sandbox = confine(self.config, self.parent_pid, self.scratch)
                inactive = [
                    say("%(measure)s: %(how)s", measure=name, how=how)
                    for name, how in sandbox.measures.items()
                    if not how.startswith("active")
                ]
                step.message = joined(say("; "), inactive) or say("Every measure is active.")
                step.measurements = {"active": len(sandbox.measures) - len(inactive), "of": len(sandbox.measures)}
            with Step(self, "load") as step:
                started_ns = time.perf_counter_ns()
                backend = self._open(backend_class)
                self.load_time_ms = _since_ms(started_ns)
                step.message = say(
                    "Opened in %(time)s ms on %(device)s.", time=f"{self.load_time_ms:.0f}", device=backend.device
                )
                step.measurements = {"load_time_ms": self.load_time_ms}
            with Step(self, "signature") as step:
                signature = self._signature(backend)
                step.message = describe(signature)
            with Step(self, "sample") as step:
                outputs = self._run_sample(backend, signature)
                step.message = say("One sample ran; outputs: %(outputs)s.", outputs=_shapes(outputs))
            batchable = self._batch(backend, signature)
            with Step(self, "golden") as step:
                self._golden(backend, signature, document, step)
            with Step(self, "measure") as step:
                self._measure(backend, step)
        except StepFailed:
            return False
        self._send({"result": self._result(signature, batchable=batchable)})
        return True

    def _open(self, backend_class: type[Backend]) -> Backend:
        """Open the artifact; a missing signature is the next step's affair."""
        if self.config.signature is not None:
            backend, _ = open_checked(backend_class, self.config)
            return backend
        return open_artifact(backend_class, self.config)

    def _signature(self, backend: Backend) -> Signature:
        signature = self.config.signature or backend.signature
        if signature is None:
            raise UnusableArtifact(HOW_TO_DECLARE)
        for spec in (*signature.inputs, *signature.outputs):
            if not 1 <= len(spec.name) <= MAX_NAME_CHARACTERS or not spec.name.isprintable():
                raise UnusableArtifact(
                    say(
                        "The tensor name %(name)s cannot be served: names have 1 to %(most)s printable characters.",
                        name=repr(spec.name[:80]),
                        most=MAX_NAME_CHARACTERS,
                    )
                )
        return signature

    def _run_sample(self, backend: Backend, signature: Signature) -> Sequence[Array]:
        hints = parse_sample_option(self.config.options.get("sample"))
        try:
            self.sample, outputs = find_sample(backend, signature, hints, rows=1)
        except (BadOutput, UnusableArtifact):
            raise
        except Exception as error:
            raise StepFailed(
                say(
                    "The model raised on every sample tried (%(signature)s): %(error)s. "
                    "If the model needs certain values or sizes, declare them in the option sample, "
                    'for example {"%(name)s": {"shape": [1, 512], "fill": 1}}.',
                    signature=describe(signature),
                    error=shortened(error, 1_500),
                    name=signature.inputs[0].name,
                )
            ) from error
        check_outputs(outputs, signature, _rows_of(signature, 1))
        return outputs

    def _batch(self, backend: Backend, signature: Signature) -> bool:
        """Return True if rows can be joined: three rows in give three rows out, each as if it were alone."""
        with Step(self, "batch") as step:
            why_not = self._why_not_batchable(backend, signature)
            if why_not:
                step.status = "skipped"
                step.message = say("%(why)s Each request runs alone.", why=why_not)
                return False
            step.message = say("%(rows)s rows in one execution gave what they give alone.", rows=BATCH_ROWS)
            return True

    def _why_not_batchable(self, backend: Backend, signature: Signature) -> str:
        if self.config.stateful:
            return say("The model keeps state.")
        if not self.config.batchable:
            return say("Declared as not batchable.")
        if _rows_of(signature, 1) is None:
            return say("Not every input and output has a first dimension that may vary (-1).")
        joined = same_with_rows(self.sample, BATCH_ROWS)
        try:
            together = backend.run(joined)
            check_outputs(together, signature, BATCH_ROWS)
            for row in range(BATCH_ROWS):
                alone = backend.run([np.ascontiguousarray(array[row : row + 1]) for array in joined])
                if not all(_is_close(a[0], t[row]) for a, t in zip(alone, together, strict=True)):
                    return say("A row's answer depends on the other rows of its batch, or on chance.")
        except Exception as error:
            return say("The model refuses %(rows)s rows: %(error)s.", rows=BATCH_ROWS, error=shortened(error, 500))
        return ""

    def _golden(self, backend: Backend, signature: Signature, document: bytes, step: Step) -> None:
        """Reproduce the version's golden samples, or the default version's if both take and give the same."""
        if not document:
            step.status, step.message = "skipped", say("There are no golden samples to reproduce.")
        elif json.loads(document).get("signature") not in (None, signature_to_dict(signature)):
            step.status, step.message = (
                "skipped",
                say("The default version's golden samples are of other tensors."),
            )
        else:
            samples = golden.parse(document, signature)
            golden.check(backend, signature, samples, batchable=self.config.batchable)
            count = len(samples)
            one, many = say("1 golden sample reproduced."), say("%(count)s golden samples reproduced.", count=count)
            step.message = one if count == 1 else many
            step.measurements = {"samples": len(samples)}

    def _measure(self, backend: Backend, step: Step) -> None:
        times = []
        for _ in range(MEASURED_RUNS):
            started_ns = time.perf_counter_ns()
            backend.run(self.sample)
            times.append(_since_ms(started_ns))
        self.latency_ms = median(times)
        memory_bytes = resident_bytes()
        step.message = say(
            "One sample takes %(time)s ms; the process uses %(memory)s MiB.",
            time=f"{self.latency_ms:.2f}",
            memory=memory_bytes // 1_048_576,
        )
        step.measurements = {"sample_latency_ms": self.latency_ms, "memory_bytes": memory_bytes}

    def _result(self, signature: Signature, *, batchable: bool) -> dict[str, Any]:
        return {
            "signature": signature_to_dict(signature),
            "batchable": batchable,
            "load_time_ms": self.load_time_ms,
            "sample_latency_ms": self.latency_ms,
            "memory_bytes": resident_bytes(),
        }

    def report(self, step: str, status: str, message: str, measurements: Mapping[str, Any]) -> None:
        """Write one line; `said`: what the message is made of (proxy.core.words), where it is more than a text."""
        said = {"said": message.parts} if isinstance(message, Words) else {}
        self._send({"step": step, "status": status, "message": message, "measurements": dict(measurements), **said})

    def _send(self, value: Mapping[str, Any]) -> None:
        data = json.dumps(value).encode() + b"\n"
        while data:
            data = data[os.write(self.report_fd, data) :]


class Step:
    """One step of a validation: reports its start and its end. Turns what went wrong into words, then StepFailed."""

    def __init__(self, validation: Validation, name: str) -> None:
        self._validation = validation
        self._name = name
        self.status = "passed"
        self.message = ""
        self.measurements: Mapping[str, Any] = {}

    def __enter__(self) -> Step:
        self._validation.report(self._name, "running", "", {})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._validation.report(self._name, self.status, self.message, self.measurements)
            return
        if isinstance(error, Exception):
            self._validation.report(self._name, "failed", in_words(error), {})
            raise StepFailed from error


def in_words(error: Exception) -> str:
    """Return what the uploader reads."""
    if isinstance(error, (StepFailed, UnusableArtifact, BadOutput, InvalidConfig, LimitTooLow)):
        return of_error(error)
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return say("The model needs more memory than its limit allows: %(error)s", error=shortened(error, 500))
    return f"{type(error).__name__}: {shortened(error)}"


def describe(signature: Signature) -> str:
    """Return `x FP32 [-1, 64] → y FP32 [-1, 10]`."""
    return " → ".join(", ".join(_spec(spec) for spec in side) for side in (signature.inputs, signature.outputs))


def _spec(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.datatype} {list(spec.shape)}"


def _rows_of(signature: Signature, rows: int) -> int | None:
    """Return `rows` if every tensor has a batch dimension, else None."""
    specs = (*signature.inputs, *signature.outputs)
    return rows if all(spec.shape[:1] == (VARIABLE,) for spec in specs) else None


def _shapes(arrays: Sequence[Array]) -> str:
    return ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays)


def _is_close(a: Array, b: Array) -> bool:
    if a.dtype == BF16:
        return bool(np.allclose(as_floats(a), as_floats(b), BF16_TOLERANCE, BF16_TOLERANCE, equal_nan=True))
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    return bool(np.allclose(a, b, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE, equal_nan=True))


def _since_ms(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / 1e6


def main() -> int:
    """Read the configuration from standard input, validate, report. Returns 0 if it could report."""
    parser = argparse.ArgumentParser(prog="proxy.worker.validation")
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, required=True)
    parser.add_argument("--scratch", required=True)
    arguments = parser.parse_args()
    config = InstanceConfig.from_json(sys.stdin.buffer.read())
    Validation(config, arguments.parent_pid, arguments.scratch, arguments.report_fd).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
