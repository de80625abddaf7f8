"""Configuration, samples, outputs and the seccomp program of a worker."""

from __future__ import annotations

import errno
import json
import mmap
import os
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.tensors import Signature, TensorSpec
from proxy.frames.config import InstanceConfig, InvalidConfig, signature_from_dict, signature_to_dict
from proxy.worker import seccomp, validate
from proxy.worker.backends import architectures, prepare
from proxy.worker.backends.base import BadOutput, UnusableArtifact, shortened
from proxy.worker.collate import check_outputs, place_outputs, write_outputs
from proxy.worker.dtypes import BY_NAME
from proxy.worker.serving import check_agreement
from proxy.worker.warmup import INTEGER_FILLS, VARIABLE_SIZES, parse_sample_option, same_with_rows, samples

ROW = Signature((TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 3)),))


def test_a_configuration_survives_the_journey():
    config = InstanceConfig("/a", "onnx", ROW, "0" * 64, {"method": "m"}, batchable=False, stateful=True, threads=3)
    assert InstanceConfig.from_json(config.to_json()) == config
    assert signature_from_dict(signature_to_dict(ROW)) == ROW


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"artifact_path": "a", "format": "b", "surprise": 1}', b"\xff"])
def test_a_broken_configuration_is_refused(text):
    with pytest.raises(InvalidConfig):
        InstanceConfig.from_json(text)


SPEC = {"name": "x", "datatype": "FP32", "shape": [1]}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "JSON object"),
        ({"inputs": [SPEC], "outputs": [SPEC], "more": 1}, "not ['more']"),
        ({"inputs": [], "outputs": [SPEC]}, "1 to 64"),
        ({"inputs": [SPEC] * 65, "outputs": [SPEC]}, "1 to 64"),
        ({"inputs": [SPEC, SPEC], "outputs": [SPEC]}, "same name"),
        ({"inputs": [{**SPEC, "name": ""}], "outputs": [SPEC]}, "1 to 256"),
        ({"inputs": [{**SPEC, "datatype": "FP31"}], "outputs": [SPEC]}, "unknown datatype 'FP31'"),
        ({"inputs": [{**SPEC, "shape": [0]}], "outputs": [SPEC]}, "positive integer"),
        ({"inputs": [{**SPEC, "shape": [True]}], "outputs": [SPEC]}, "positive integer"),
        ({"inputs": [{**SPEC, "shape": [-2]}], "outputs": [SPEC]}, "positive integer"),
        ({"inputs": [{**SPEC, "shape": [1] * 17}], "outputs": [SPEC]}, "at most 16"),
        ({"inputs": [{"name": "x"}], "outputs": [SPEC]}, "inputs[0] must be"),
    ],
)
def test_a_declared_signature_is_refused_with_the_field_that_is_wrong(value, words):
    with pytest.raises(InvalidConfig) as refusal:
        signature_from_dict(value)
    assert words in str(refusal.value)


def test_samples_try_the_open_sizes_and_integers_in_turn():
    open_width = Signature((TensorSpec("x", "FP32", (-1, -1)), TensorSpec("n", "INT64", (1,))), ROW.outputs)
    found = list(samples(open_width, {}, 2))
    assert [s[0].shape for s in found[:: len(INTEGER_FILLS)]] == [(2, size) for size in VARIABLE_SIZES]
    assert [int(s[1][0]) for s in found[:3]] == list(INTEGER_FILLS)
    (only,) = samples(open_width, {"x": {"shape": [1, 7]}, "n": {"fill": 9}}, 2)
    assert only[0].shape == (2, 7)
    assert only[1].tolist() == [9]


@pytest.mark.parametrize("text", ["{", "[]", '{"x": 1}', '{"x": {"shape": [-1]}}', '{"x": {"value": 1}}', "1"])
def test_a_sample_option_that_is_not_one_is_refused(text):
    with pytest.raises(UnusableArtifact, match="must look like"):
        parse_sample_option(text)


def test_a_sample_of_a_shape_that_the_signature_forbids_is_refused():
    with pytest.raises(UnusableArtifact, match="does not allow"):
        list(samples(ROW, {"x": {"shape": [1, 5]}}, 1))


def test_rows_of_a_joined_sample_differ():
    (joined,) = same_with_rows([np.ones((1, 4), np.float32)], 3)
    assert joined.shape == (3, 4)
    assert joined.dtype == np.float32
    assert len(set(joined[:, 0].tolist())) == 3


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ([], "returned 0 outputs"),
        ([np.zeros((2, 3), np.float64)], "is FP64; its signature declares FP32"),
        ([np.zeros((2, 3), np.complex64)], "is complex64"),
        ([np.zeros((2, 4), np.float32)], "shape [2, 4]"),
        ([np.zeros((1, 3), np.float32)], "shape [1, 3] is not 2 rows"),
    ],
)
def test_outputs_that_are_not_as_declared_are_refused(outputs, words):
    with pytest.raises(BadOutput) as refusal:
        check_outputs(outputs, ROW, 2)
    assert words in str(refusal.value)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5))
def test_outputs_lie_side_by_side_and_whole(sizes):
    outputs = [np.arange(size, dtype=np.int16) for size in sizes]
    entries, needed = place_outputs(outputs)
    area = mmap.mmap(-1, max(needed, 1))
    write_outputs(area, outputs, entries)
    for array, entry in zip(outputs, entries, strict=True):
        assert area[entry.offset : entry.offset + entry.size_bytes] == array.tobytes()


@pytest.mark.parametrize("name", [name for name in BY_NAME if name != "BYTES"])
def test_outputs_of_each_datatype_and_in_any_order_of_memory_are_written_row_by_row(name):
    array = np.frombuffer(bytes(i % 2 for i in range(6 * BY_NAME[name].itemsize)), BY_NAME[name]).reshape(2, 3)
    outputs = [array, array.T, array[:, :1], array[:1, :1].reshape(())]
    entries, needed = place_outputs(outputs)
    area = mmap.mmap(-1, needed)
    write_outputs(area, outputs, entries)
    for output, entry in zip(outputs, entries, strict=True):
        assert area[entry.offset : entry.offset + entry.size_bytes] == output.tobytes()


def test_signatures_agree_where_both_can_be_true():
    check_agreement(ROW, ROW)
    check_agreement(Signature((TensorSpec("other", "FP32", (-1, -1)),), ROW.outputs), ROW)
    for wrong in (TensorSpec("x", "FP64", (-1, 4)), TensorSpec("x", "FP32", (-1, 5)), TensorSpec("x", "FP32", (4,))):
        with pytest.raises(UnusableArtifact):
            check_agreement(Signature((wrong,), ROW.outputs), ROW)
    with pytest.raises(UnusableArtifact, match="has 2 inputs"):
        check_agreement(Signature(ROW.inputs * 2, ROW.outputs), ROW)


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (None, "declare the option architecture"),
        ("{", "not JSON"),
        ("{}", "must name one of: convnet, mlp"),
        ({"name": "resnet"}, "must name one of"),
        ({"name": ["mlp"]}, "must name one of"),
        ("[" * 8_000, "nested too deeply"),
        ({"name": "mlp", "widths": [4]}, "2 to 64 sizes"),
        ({"name": "mlp", "widths": [4, 0]}, "integers from 1"),
        ({"name": "mlp", "widths": [4, 10**9]}, "integers from 1"),
        ({"name": "mlp", "widths": [4, 3], "activation": "eval"}, "Unknown activation"),
        ({"name": "mlp", "widths": [4, 3], "activation": {}}, "Unknown activation"),
        ({"name": "mlp", "widths": [4, 3], "hook": "x"}, "no field 'hook'"),
        ({"name": "convnet", "input": [1, 8], "channels": [4], "classes": 2}, "list of 3"),
        ({"name": "convnet", "input": [1, 8, 8], "channels": [4] * 5, "classes": 2}, "pools its input away"),
        ({"name": "convnet", "input": [1, 8, 8], "channels": [4]}, "integers from 1"),
    ],
)
def test_an_architecture_that_is_not_on_the_list_is_refused(description, words):
    with pytest.raises(UnusableArtifact) as refusal:
        architectures.build(json.dumps(description) if isinstance(description, dict) else description)
    assert words in str(refusal.value)


def test_a_convnet_has_the_shapes_that_it_declares():
    module, signature = architectures.build(
        json.dumps({"name": "convnet", "input": [1, 8, 8], "channels": [4, 6], "classes": 10})
    )
    assert signature.inputs[0].shape == (-1, 1, 8, 8)
    assert signature.outputs[0].shape == (-1, 10)
    assert tuple(module.state_dict()["7.weight"].shape) == (10, 24)


def test_an_unknown_format_has_no_backend():
    with pytest.raises(UnusableArtifact, match="no backend for the format 'pickle'"):
        prepare(InstanceConfig("/a", "pickle", None))


def test_of_a_torchscript_trace_only_the_error_is_told():
    trace = (
        'The following...\nTraceback of TorchScript (most recent call last):\n  File "/home/x"\nbuiltins.ValueError: no'
    )
    assert shortened(RuntimeError(trace)) == "ValueError: no"
    assert shortened(RuntimeError("x" * 9_000)) == "..." + "x" * 2_000
    assert shortened(KeyError()) == "KeyError"


def simulate(program, data):
    """Run a classic BPF program as the kernel would; only the operations that the filter uses."""
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at = accumulator = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x06:
            return value
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[operation]
            at += if_true if holds else if_false


@pytest.mark.parametrize(
    ("number", "argument", "expected"),
    [
        (0, 0, None), (1, 0, None), (47, 0, None), (46, 0, None), (202, 0, None), (16, 0, None), (9, 0, None),
        (41, 2, errno.EPERM), (59, 0, errno.EPERM), (57, 0, errno.EPERM), (101, 0, errno.EPERM),
        (435, 0, errno.ENOSYS), (56, 0x0001_0000 | 0x100, None), (56, 17, errno.EPERM),
        (62, 1234, None), (62, 1, errno.EPERM), (62, 0xFFFF_FFFF, errno.EPERM), (234, 1234, None),
        (234, 7, errno.EPERM), (302, 0, None), (302, 1234, None), (302, 5, errno.EPERM),
        (0x4000_0000, 0, errno.EPERM),
    ],
)  # fmt: skip
def test_the_filter_denies_and_allows_by_number_and_argument(number, argument, expected):
    program = seccomp.build(0, 0xC000_003E, 1234)
    data = struct.pack("<IIQ6Q", number, 0xC000_003E, 0, argument, 0, 0, 0, 0, 0)
    verdict = simulate(program, data)
    assert verdict == (0x7FFF_0000 if expected is None else 0x0005_0000 | expected)
    other = struct.pack("<IIQ6Q", number, 0x4000_0003, 0, argument, 0, 0, 0, 0, 0)
    assert simulate(program, other) == 0x0005_0000 | errno.EPERM


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"step": "load", "status": "passed", "message": "", "measurements": []}',
        b'{"result": [], "step": "load"}',
        b"7",
    ],
)
def test_u33_whatever_a_model_writes_into_the_report_is_a_failure_of_its_step_and_no_fault_of_ours(line):
    sent = []
    read_fd, write_fd = os.pipe()
    relay = validate.Relay(sent.append)
    writer = threading.Thread(target=lambda: (os.write(write_fd, line + b"\n"), os.close(write_fd)))
    writer.start()
    assert relay.run(read_fd, time.monotonic() + 60)
    writer.join()
    os.close(read_fd)
    assert [(one["step"], one["status"], one["message"]) for one in sent] == [
        ("sandbox", "failed", "The model's process reported something unreadable.")
    ]
