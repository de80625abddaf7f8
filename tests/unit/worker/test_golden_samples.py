"""Golden samples: read, held against the signature, reproduced within their tolerance or refused in words."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from proxy.core.tensors import Signature, TensorSpec
from proxy.frames.config import InstanceConfig
from proxy.worker import golden
from proxy.worker.backends.base import UnusableArtifact
from proxy.worker.warmup import warm_up

PAIR = Signature(
    (TensorSpec("x", "FP32", (-1, 2)),), (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("label", "BYTES", (-1,)))
)


def tensor(name, datatype, shape, data):
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


X = tensor("x", "FP32", [2, 2], [1.0, 2.0, 3.0, 4.0])
Y = tensor("y", "FP32", [2, 2], [2.0, 4.0, 6.0, 8.0])
LABEL = tensor("label", "BYTES", [2], ["a", "b"])


def document(*outputs, **tolerance):
    return json.dumps(
        {"rtol": 1e-3, "atol": 1e-5, "samples": [{"inputs": [X], "outputs": outputs, **tolerance}]}
    ).encode()


class Doubling:
    """A backend that doubles its input and calls its rows a, b, …; `off` is how wrong it is."""

    def __init__(self, off=0.0):
        self.off = off
        self.sizes = []

    def run(self, inputs):
        (x,) = inputs
        self.sizes.append(len(x))
        labels = np.array([bytes([97 + row]) for row in range(len(x))], object)
        return [x * np.float32(2) + np.float32(self.off), labels]


def check(backend, text):
    golden.check(backend, PAIR, golden.parse(text, PAIR), batchable=True)


def test_outputs_that_are_reproduced_pass_also_where_only_one_is_expected():
    check(Doubling(), document(Y, LABEL))
    check(Doubling(), document(LABEL))
    check(Doubling(0.001), document(Y))
    check(Doubling(0.4), document(Y, atol=0.5))
    assert golden.parse(b"", PAIR) == []


@pytest.mark.parametrize(
    ("backend", "text", "words"),
    [
        (Doubling(0.5), document(LABEL, Y), r"sample 1: output 'y' differs by up to 0.5 in 4 of 4 .* 1e-05 \+ 0.001"),
        (Doubling(float("nan")), document(Y), "differs by up to nan in 4 of 4"),
        (Doubling(), document(tensor("label", "BYTES", [2], ["a", "c"])), "output 'label' differs in 1 of 2 elements"),
        (Doubling(), document(tensor("y", "FP32", [1, 2], [1, 2])), r"has shape \[2, 2\]; expected is \[1, 2\]"),
    ],
)
def test_an_output_that_differs_fails_with_its_name_the_difference_and_the_tolerance(backend, text, words):
    with pytest.raises(UnusableArtifact, match=words):
        check(backend, text)


def test_a_model_that_raises_on_a_golden_sample_fails_with_its_own_words():
    class Raising:
        def run(self, inputs):
            raise RuntimeError("no such word")

    with pytest.raises(UnusableArtifact, match="Golden sample 1: the model failed: no such word"):
        check(Raising(), document(Y))


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"{}",
        document(),
        document({**Y, "datatype": "INT64", "data": [1, 2, 3, 4]}),
        document({**Y, "name": "z"}),
        document({**Y, "data": [1.0]}),
        document({**Y, "data": ["a", "b", "c", "d"]}),
    ],
)
def test_a_document_that_does_not_fit_the_signature_is_refused(text):
    with pytest.raises(UnusableArtifact, match="do not fit the signature"):
        golden.parse(text, PAIR)


def test_a_damaged_or_missing_document_is_refused(tmp_path):
    path = tmp_path / "golden.json"
    path.write_bytes(document(Y))
    digest = hashlib.sha256(document(Y)).hexdigest()
    base = {"artifact_path": "/a", "format": "torchscript", "signature": PAIR, "golden_path": str(path)}
    assert golden.read_document(InstanceConfig(**base, golden_digest=digest)) == document(Y)
    with pytest.raises(UnusableArtifact, match="damaged"):
        golden.read_document(InstanceConfig(**base, golden_digest="0" * 64))
    path.unlink()
    with pytest.raises(UnusableArtifact, match="cannot be read"):
        golden.read_document(InstanceConfig(**base))
    assert golden.read_document(InstanceConfig("/a", "torchscript", PAIR)) == b""


def test_bf16_is_rounded_as_torch_rounds():
    torch = pytest.importorskip("torch")
    reals = np.random.default_rng(0).standard_normal(1_000).astype(np.float32)
    expected = torch.from_numpy(reals).to(torch.bfloat16).view(torch.int16).numpy().view("V2")
    read = golden._array(tensor("x", "BF16", [1_000], [float(real) for real in reals]))
    assert read.tobytes() == expected.tobytes()


def test_every_size_is_executed_before_ready_within_a_bounded_time():
    backend, log = Doubling(), []
    sample = golden.parse(document(Y), PAIR)[0].inputs
    warm_up(backend, PAIR, {}, log.append, recorded=sample, batch_rows=(1, 2, 4, 32))
    assert backend.sizes == [1, 1, 2, 2, 4, 4, 32, 32]
    assert not log
    times = iter([0.0, 1.0, 100.0])
    backend = Doubling()
    warm_up(backend, PAIR, {}, log.append, batch_rows=(1, 2, 4, 8), clock_s=lambda: next(times))
    assert backend.sizes == [1, 1, 1, 2, 2]
    assert log == ["no warm-up for 4 rows and more: it would take too long or too much memory"]
