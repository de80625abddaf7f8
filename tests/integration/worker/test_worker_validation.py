"""Validation of uploads in their own process: every step reported, every failure in an ML engineer's words."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models_admin.services.validation_report import ResultReport, parse_line
from proxy.core.words import Words
from proxy.frames.config import signature_to_dict
from proxy.testing import models, string_models

pytestmark = pytest.mark.slow
ROW = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}
STEPS = ["sandbox", "load", "signature", "sample", "batch", "golden", "measure"]


def begin(job):
    read_fd, write_fd = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy.worker.validate", "--report-fd", str(write_fd)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(write_fd,),
    )
    os.close(write_fd)
    process.stdin.write(job if isinstance(job, bytes) else json.dumps(job).encode())
    process.stdin.close()
    return process, os.fdopen(read_fd)


def validate(version, declared=ROW, **changes):
    job = {
        "artifact_path": version if isinstance(version, str) else version.artifact_path,
        "format": "torchscript" if isinstance(version, str) else version.format,
        "declared_signature": declared,
        "options": {} if isinstance(version, str) else dict(version.options),
        "memory_limit_bytes": 4 * 2**30,
        "time_limit_s": 60,
        **changes,
    }
    process, report = begin(job)
    with report:
        lines = list(report)
    assert process.wait() == 0
    assert not [line for line in lines if not can_be_translated(line)]
    return [json.loads(line) for line in lines]


def can_be_translated(line):
    """True of a line whose message our parser takes as words; a signature, or a library's error alone, are no words."""
    report = parse_line(line.encode(), STEPS)
    if (
        isinstance(report, ResultReport)
        or not report.message
        or (report.step, report.status) == ("signature", "passed")
    ):
        return True
    return isinstance(report.message, Words) or re.match(r"\w+Error: ", report.message)


def failure(lines):
    """The step that failed and its words; nothing may follow it."""
    assert lines[-1].get("status") == "failed", lines
    assert not any("result" in line for line in lines)
    return lines[-1]["step"], lines[-1]["message"]


def test_a_good_model_passes_every_step_and_is_measured(tmp_path):
    lines = validate(models.script(tmp_path, "affine"))
    assert [line["step"] for line in lines if line.get("status") == "running"] == STEPS
    assert [line["step"] for line in lines if line.get("status") == "passed"] == [s for s in STEPS if s != "golden"]
    result = lines[-1]["result"]
    assert result["signature"] == ROW
    assert result["batchable"] is True
    assert result["load_time_ms"] > 0
    assert result["sample_latency_ms"] > 0
    assert result["memory_bytes"] > 50 * 2**20


def golden_document(path, expected, signature=ROW):
    """Golden samples of one row, as the control plane writes them."""
    tensors = [
        {"name": name, "datatype": "FP32", "shape": [1, 4], "data": data}
        for name, data in (("x", [1.0, 2.0, 3.0, 4.0]), ("y", expected))
    ]
    sample = {"inputs": tensors[:1], "outputs": tensors[1:]}
    document = {"signature": signature, "rtol": 1e-3, "atol": 1e-5, "samples": [sample]}
    path.write_text(json.dumps(document))
    return {"golden_path": str(path), "golden_digest": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_golden_samples_are_a_step_of_their_own(tmp_path):
    good = golden_document(tmp_path / "good.json", [3.0, 5.0, 7.0, 9.0])
    lines = validate(models.script(tmp_path, "affine"), **good)
    assert [line["step"] for line in lines if line.get("status") == "passed"] == STEPS and "result" in lines[-1]


def test_f22_a_version_that_breaks_a_golden_sample_is_not_valid(tmp_path):
    bad = golden_document(tmp_path / "bad.json", [3.0, 5.0, 7.0, 9.5])
    step, words = failure(validate(models.script(tmp_path, "affine"), **bad))
    assert step == "golden"
    assert "'y'" in words and "0.5" in words


def test_golden_samples_of_a_version_with_other_tensors_are_not_inherited(tmp_path):
    other = {**ROW, "inputs": [{"name": "z", "datatype": "FP32", "shape": [-1, 4]}]}
    lines = validate(models.script(tmp_path, "affine"), **golden_document(tmp_path / "other.json", [0.0] * 4, other))
    assert next(line for line in lines if line.get("status") == "skipped")["step"] == "golden" and "result" in lines[-1]


def test_damaged_golden_samples_fail_in_words(tmp_path):
    good = golden_document(tmp_path / "good.json", [3.0, 5.0, 7.0, 9.0])
    step, words = failure(validate(models.script(tmp_path, "affine"), **{**good, "golden_digest": "0" * 64}))
    assert step == "sandbox" and "damaged" in words


def test_a_signature_in_the_archive_needs_no_declaration(tmp_path):
    path = tmp_path / "embedded.pt"
    module = models.from_source("return x * 2.0")
    torch.jit.save(module, str(path), _extra_files={"dlproxy.json": json.dumps(ROW)})
    assert validate(str(path), None)[-1]["result"]["signature"] == ROW


def test_a_method_may_call_its_module_whatever_it_likes(tmp_path):
    path = tmp_path / "other_name.pt"
    module = torch.jit.ScriptModule()
    module.define("def forward(this, x):\n    return x * 2.0\n")
    torch.jit.save(module, str(path), _extra_files={"dlproxy.json": json.dumps(ROW)})
    assert validate(str(path), None)[-1]["result"]["signature"] == ROW


@pytest.mark.parametrize(
    ("embedded", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("9" * 6_000, "too many digits"),
        (json.dumps({**ROW, "inputs": [{"name": "a\u0000b", "datatype": "FP32", "shape": [-1, 4]}]}), "printable"),
        (json.dumps({**ROW, "inputs": [{"name": "x", "datatype": ["FP32"], "shape": [-1, 4]}]}), "unknown datatype"),
    ],
)
def test_u30_a_hostile_signature_in_the_archive_fails_in_words(tmp_path, embedded, words):
    path = tmp_path / "hostile.pt"
    torch.jit.save(models.from_source("return x"), str(path), _extra_files={"dlproxy.json": embedded})
    assert words in failure(validate(str(path), None))[1]


def test_without_any_signature_the_words_say_how_to_declare_one(tmp_path):
    step, words = failure(validate(models.script(tmp_path, "affine"), None))
    assert step == "signature"
    assert "Declare the signature" in words
    assert "dlproxy.json" in words


@pytest.mark.parametrize("artifact_format", ["exported", "onnx", "safetensors"])
def test_formats_that_carry_their_shapes_need_no_declaration(tmp_path, artifact_format):
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    version = models.in_format(tmp_path, artifact_format, model, 4, 3, json.dumps({"name": "mlp", "widths": [4, 8, 3]}))
    result = validate(version, None)[-1]["result"]
    assert result["signature"]["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]
    assert result["signature"]["outputs"][0]["shape"] == [-1, 3]
    assert result["batchable"] is True


@pytest.mark.parametrize("make", [string_models.flat, string_models.nested, string_models.onnx])
def test_models_of_strings_are_accepted_and_batched(tmp_path, make):
    version = make(tmp_path)
    declared = None if version.format == "onnx" else signature_to_dict(version.signature)
    result = validate(version, declared)[-1]["result"]
    assert result["signature"]["inputs"] == [{"name": "words", "datatype": "BYTES", "shape": [-1, 2]}]
    assert result["batchable"] is True


@pytest.mark.parametrize("artifact_format", ["torchscript", "exported"])
def test_models_of_bf16_are_accepted_and_batched(tmp_path, artifact_format):
    version = string_models.halves(tmp_path, artifact_format)
    result = validate(version, signature_to_dict(version.signature))[-1]["result"]
    assert result["signature"]["inputs"] == [{"name": "x", "datatype": "BF16", "shape": [-1, 4]}]
    assert result["batchable"] is True


def test_strings_for_a_model_of_tensors_and_numbers_for_one_of_strings_are_refused_in_words(tmp_path):
    words = {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [-1, 4]}], "outputs": ROW["outputs"]}
    _, message = failure(validate(models.script(tmp_path, "affine"), words))
    assert "is a Tensor, but the signature declares BYTES" in message
    _, message = failure(validate(string_models.flat(tmp_path), ROW))
    assert "is a List[str], but the signature declares FP32" in message


def test_a_declaration_that_contradicts_the_artifact_fails(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 3)).eval()
    version = models.in_format(tmp_path, "exported", model, 4, 3, "")
    step, words = failure(validate(version, {**ROW, "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 5]}]}))
    assert step == "load"
    assert "[-1, 5]" in words


def test_u17_safetensors_that_lack_a_tensor_say_which(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 8))
    architecture = json.dumps({"name": "mlp", "widths": [4, 8, 3]})
    version = models.in_format(tmp_path, "safetensors", model, 4, 3, architecture)
    step, words = failure(validate(version, None))
    assert step == "load"
    assert "lacks tensor '2.weight' [3, 8]" in words


def test_an_output_that_is_not_as_declared_fails_at_the_sample(tmp_path):
    declared = {**ROW, "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 9]}]}
    step, words = failure(validate(models.script(tmp_path, "affine"), declared))
    assert step == "sample"
    assert "[1, 4]; its signature declares [-1, 9]" in words


def test_a_model_that_raises_on_samples_is_told_about_the_sample_option(tmp_path):
    path = tmp_path / "picky.pt"
    torch.jit.save(
        models.from_source("""
        if float(x[0, 0]) != 42.0:
            raise ValueError("only 42 is served")
        return x
    """),
        str(path),
    )
    step, words = failure(validate(str(path)))
    assert step == "sample"
    assert "only 42 is served" in words
    assert "option sample" in words
    assert "result" in validate(str(path), options={"sample": json.dumps({"x": {"fill": 42}})}, batchable=False)[-1]


def test_rows_that_depend_on_each_other_are_served_alone(tmp_path):
    path = tmp_path / "mixing.pt"
    torch.jit.save(models.from_source("return x - x.mean(0)"), str(path))
    lines = validate(str(path))
    assert lines[-1]["result"]["batchable"] is False
    (batch,) = [line for line in lines if line.get("step") == "batch" and line["status"] != "running"]
    assert batch["status"] == "skipped"
    assert "depends on the other rows" in batch["message"]


def test_u29_an_endless_loop_is_ended_at_the_time_limit(tmp_path):
    path = tmp_path / "endless.pt"
    torch.jit.save(
        models.from_source("""
        n = 0
        while n >= 0:
            n = (n + 1) % 1000
        return x
    """),
        str(path),
    )
    step, words = failure(validate(str(path), time_limit_s=8))
    assert step in {"sample", "load", "signature"}
    assert "longer than the limit of 8 s" in words


def test_a_crash_is_told_with_its_signal(tmp_path):
    step, words = failure(validate(models.script(tmp_path, "segfaults")))
    assert step == "sample"
    assert "SIGSEGV" in words


def test_u30_more_memory_than_the_limit_fails_in_words(tmp_path):
    path = tmp_path / "hungry.pt"
    torch.jit.save(models.from_source("return x + torch.ones([1000000000]).sum()"), str(path))
    step, words = failure(validate(str(path), memory_limit_bytes=700 * 2**20))
    assert step == "sample"
    assert "allocate" in words


def test_a_limit_below_the_libraries_own_need_says_so(tmp_path):
    step, words = failure(validate(models.script(tmp_path, "affine"), memory_limit_bytes=2**20))
    assert step == "sandbox"
    assert "below what the libraries alone use" in words


def test_files_that_are_no_archives_fail_in_words(tmp_path):
    path = tmp_path / "no.pt"
    path.write_bytes(b"not a zip" * 100)
    for artifact_format in ("torchscript", "exported", "safetensors", "onnx"):
        options = {"architecture": '{"name": "mlp", "widths": [1, 1]}'}
        step, words = failure(validate(str(path), format=artifact_format, options=options))
        assert step == "load"
        assert str(tmp_path) not in words


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (b"{", "broken"),
        (b"[]", "broken"),
        ({"artifact_path": "/nowhere", "format": "torchscript"}, "missing"),
        ({"artifact_path": "/nowhere", "format": "torchscript", "surprise": 1}, "unknown fields: surprise"),
        ({"artifact_path": sys.executable, "format": "pickle"}, "no backend"),
        ({"artifact_path": "/x", "format": "torchscript", "declared_signature": {"inputs": []}}, "must be a list"),
    ],
)
def test_a_job_that_makes_no_sense_is_reported_not_raised(job, words):
    process, report = begin(job)
    with report:
        lines = [json.loads(line) for line in report]
    assert process.wait() == 0
    step, message = failure(lines)
    assert step == "sandbox"
    assert words in message


def test_the_sandboxed_process_dies_with_a_validation_that_is_killed(tmp_path):
    process, report = begin({"artifact_path": models.script(tmp_path, "affine").artifact_path, "format": "torchscript"})
    with report:
        report.readline()
        (child,) = (int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
        pidfd = os.pidfd_open(child)
        process.send_signal(signal.SIGKILL)
        process.wait()
        report.read()
    assert signal.pidfd_send_signal  # the descriptor below becomes readable when the child has ended
    import select

    assert select.select([pidfd], [], [], 30)[0]
    os.close(pidfd)
