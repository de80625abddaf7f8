"""Validation: claims, steps, crashes, and hostile reports; real child processes where a child matters."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone, translation

from models_admin.dashboard.audit_rows import details_of
from models_admin.models import AuditEvent, ControlLease, Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import deletions, leases, validation, versions
from models_admin.services.errors import Conflict
from models_admin.services.validation_report import Malformed, ResultReport, StepReport, parse_line
from models_admin.services.versions import STEPS
from models_admin.tasks import validator_process
from models_admin.tasks.housekeeping import sweep
from models_admin.tasks.validation import validate_version
from proxy.core.words import Words, say
from proxy.testing.weight_files import safetensors_file
from tests.integration.control.conftest import ANN, SIGNATURE, make_ready, upload

pytestmark = pytest.mark.django_db

RESULT = {"signature": SIGNATURE, "batchable": True, "load_time_ms": 3.5, "sample_latency_ms": 0.5, "memory_bytes": 10}
Claim = Callable[..., validation.Claim | None]


def claim(version: ModelVersion, holder: str = "a", after_s: float = 0) -> validation.Claim | None:
    return validation.begin(version=version, holder=holder, now=timezone.now() + timedelta(seconds=after_s))


def test_a_claimed_version_goes_through_its_steps_to_ready_and_becomes_the_default(model: Model) -> None:
    held = claim(upload(model))
    assert held is not None
    assert held.version.state == VersionState.VALIDATING
    validation.record_step(claim=held, report=StepReport("load", "running"))
    validation.record_step(claim=held, report=StepReport("load", "passed", "loaded", {"load_time_ms": 3.5}))
    row = validation.finish(claim=held, result=ResultReport(SIGNATURE, True, 3.5, 0.5, 10))
    assert (row.state, row.signature, row.load_time_ms) == (VersionState.READY, SIGNATURE, 3.5)
    step = row.steps.get(name="load")
    assert (step.status, step.measurements) == ("passed", {"load_time_ms": 3.5})
    assert step.started_at <= step.finished_at
    model.refresh_from_db()
    assert model.default_version == row
    assert AuditEvent.objects.filter(action="version.ready").count() == 1


def test_the_second_ready_version_does_not_become_the_default(model: Model, ready: ModelVersion) -> None:
    held = claim(upload(model, 2.0))
    assert held is not None
    validation.finish(claim=held, result=ResultReport(SIGNATURE, True, 1, 1, 1))
    model.refresh_from_db()
    assert model.default_version == ready


def test_what_a_failure_is_made_of_is_kept_for_other_languages_until_it_is_validated_anew(model: Model) -> None:
    held = claim(upload(model))
    assert held is not None
    why = say("it was ended by %(name)s", name="SIGSEGV")
    validation.record_step(claim=held, report=StepReport("load", "failed", why))
    row = validation.fail(claim=held, reason=why)
    assert (row.state_reason, row.state_said) == (why, why.parts)
    step = row.steps.get(name="load")
    assert (step.message, step.said) == (why, why.parts)
    details = AuditEvent.objects.get(action="version.failed").details
    assert details == {"reason": why, "said": why.parts}
    with translation.override("zh-hans"):
        assert "SIGSEGV 结束" in details_of("version.failed", "m/1", details)[0].value
    row = versions.revalidate(actor=ANN, version=row)
    assert (row.state_reason, row.state_said) == ("", None)
    assert {step.said for step in row.steps.all()} == {None}


def test_a_failed_version_says_why_and_nothing_else_changes(model: Model, ready: ModelVersion) -> None:
    held = claim(upload(model, 2.0))
    assert held is not None
    validation.record_step(claim=held, report=StepReport("sandbox", "passed"))
    validation.record_step(claim=held, report=StepReport("load", "running"))
    row = validation.fail(claim=held, reason="It does not load.")
    assert (row.state, row.state_reason) == (VersionState.FAILED, "It does not load.")
    assert [step.status for step in row.steps.all()] == ["passed", "failed", *["skipped"] * 5]
    model.refresh_from_db()
    assert model.default_version == ready


def test_f35_a_second_delivery_finds_nothing_to_do(model: Model) -> None:
    version = upload(model)
    held = claim(version)
    assert held is not None
    assert claim(version, "b") is None
    validation.finish(claim=held, result=ResultReport(SIGNATURE, True, 1, 1, 1))
    assert claim(version, "b", after_s=3_600) is None


def test_f32_a_killed_validation_is_resumed_by_another_and_the_first_is_refused(model: Model) -> None:
    version = upload(model)
    now = timezone.now()
    assert list(validation.unfinished(now)) == [version]
    first = claim(version)
    assert first is not None
    assert list(validation.unfinished(now)) == []
    later = validation.LEASE_S + 1
    assert list(validation.unfinished(now + timedelta(seconds=later))) == [version]
    second = claim(version, "b", after_s=later)
    assert second is not None
    for write in (
        lambda: validation.record_step(claim=first, report=StepReport("load", "passed")),
        lambda: validation.finish(claim=first, result=ResultReport(SIGNATURE, True, 1, 1, 1)),
        lambda: validation.fail(claim=first, reason="late"),
        lambda: validation.renew(claim=first, now=now),
    ):
        with pytest.raises(Conflict):
            write()
    assert validation.finish(claim=second, result=ResultReport(SIGNATURE, True, 1, 1, 1)).state == VersionState.READY


def test_a_validation_that_keeps_dying_is_given_up(model: Model) -> None:
    version = upload(model)
    for attempt in range(validation.MAX_ATTEMPTS):
        assert claim(version, f"w{attempt}", after_s=100 * attempt) is not None
    assert claim(version, "last", after_s=1_000) is None
    version.refresh_from_db()
    assert version.state == VersionState.FAILED
    assert "3 times" in version.state_reason


def test_uploads_are_validated_two_at_a_time_so_that_the_control_loop_goes_on(model: Model) -> None:
    waiting = [upload(model, float(value)) for value in range(3)]
    first, second, third = (claim(version) for version in waiting)
    assert first is not None
    assert second is not None
    assert third is None
    validation.fail(claim=first, reason="x")
    assert claim(waiting[2]) is not None


def test_a_renewed_claim_is_not_taken_over(model: Model) -> None:
    version = upload(model)
    held = claim(version)
    assert held is not None
    validation.renew(claim=held, now=timezone.now() + timedelta(seconds=25))
    assert claim(version, "b", after_s=40) is None


def test_a_version_deleted_meanwhile_refuses_the_end(model: Model) -> None:
    version = make_ready(upload(model))
    versions.revalidate(actor=ANN, version=version)
    held = claim(version)
    assert held is not None
    with pytest.raises(Conflict):
        deletions.delete_version(actor=ANN, version=version)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"\xff",
        b"[" * 60_000,
        b'"' + b"x" * 70_000 + b'"',
        b'{"step": "dance", "status": "passed"}',
        b'{"step": ["load"], "status": "passed"}',
        b'{"step": "load", "status": ["passed"]}',
        b'{"step": "load", "status": "ready"}',
        b'{"step": "load", "status": "passed", "message": 1}',
        b'{"step": "load", "status": "passed", "measurements": [1]}',
        b'{"step": "load", "status": "passed", "measurements": {"a": NaN}}',
        b'{"step": "load", "status": "passed", "measurements": {"a": {}}}',
        json.dumps(
            {"step": "load", "status": "passed", "measurements": dict.fromkeys(map(str, range(99)), 1)}
        ).encode(),
        b'{"result": null}',
        json.dumps({"result": {**RESULT, "batchable": 1}}).encode(),
        json.dumps({"result": {**RESULT, "signature": None}}).encode(),
        json.dumps({"result": {**RESULT, "signature": {"inputs": [], "outputs": []}}}).encode(),
        json.dumps({"result": {**RESULT, "memory_bytes": -1}}).encode(),
        json.dumps({"result": {**RESULT, "memory_bytes": 2**70}}).encode(),
        b'{"result": ' + json.dumps({**RESULT, "load_time_ms": float("inf")}).encode() + b"}",
    ],
)
def test_u33_lines_that_are_not_the_protocol_s_are_refused(line: bytes) -> None:
    with pytest.raises(Malformed):
        parse_line(line, STEPS)


def test_u33_names_of_measurements_are_cleaned_for_the_database() -> None:
    report = parse_line(b'{"step": "load", "status": "passed", "measurements": {"a\\u0000b": 1}}', STEPS)
    assert isinstance(report, StepReport)
    assert report.measurements == {"a\N{REPLACEMENT CHARACTER}b": 1}


def test_messages_are_cleaned_and_shortened() -> None:
    step = parse_line(
        json.dumps({"step": "load", "status": "failed", "message": "a\x1b[31m\u202e" + "b" * 9_000}).encode(), STEPS
    )
    assert isinstance(step, StepReport)
    assert len(step.message) == 2_000
    assert step.message.isprintable()


def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Make the validator this script: it has `say(value)` for one line of the report."""
    package = tmp_path / "stand_in" / "proxy" / "worker"
    package.mkdir(parents=True)
    prelude = (
        "import json, os, sys, time\n"
        "fd = int(sys.argv[2])\n"
        "job = json.load(sys.stdin)\n"
        "def say(value): os.write(fd, json.dumps(value).encode() + b'\\n')\n"
    )
    (package / "validate.py").write_text(prelude + body)
    monkeypatch.setattr(validator_process.settings, "BASE_DIR", tmp_path / "stand_in")


def outcome(version: ModelVersion) -> ModelVersion:
    validate_version(version.pk)
    version.refresh_from_db()
    return version


NAMED = "it was ended by %(name)s"


@pytest.mark.parametrize(
    "said",
    [
        None,
        "text",
        {},
        [],
        [[]],
        [[NAMED]],
        [[NAMED, None]],
        [[NAMED, ["name"]]],
        [[NAMED, {}]],
        [[NAMED, {"name": 9}]],
        [[NAMED, {"name": {"name": "SIGKILL"}}]],
        [[NAMED, {"name": "SIGKILL", "more": "SIGKILL"}]],
        [[NAMED, {"name": "SIGSEGV"}]],  # says something else than the message
        [["", {}], [NAMED, {"name": "SIGKILL"}]],  # a catalogue's empty text is its head
        [["it was ended by %(name)99999999s", {"name": "SIGKILL"}]],
        [["it was ended by %(name)r", {"name": "SIGKILL"}]],
        [["it was ended by SIGKILL%(name).0s", {"name": "SIGKILL"}]],
        [["it was ended by %s", {}]],
        [["it was ended by %(__class__)s", {"__class__": "SIGKILL"}], 1],
        [["it was ended by %(name)s", {"name": [["SIGKILL", {}]]}, 3]],
        [[NAMED, {"name": [["%(a)s", {"a": [["%(a)s", {"a": [["%(a)s", {"a": [["SIGKILL", {}]]}]]}]]}]]}]],
        [[letter, {}] for letter in "it was ended by SIGKILL it was on"],
        [[NAMED, {"name": "SIGKILL\x00"}]],
    ],
)
def test_u33_what_a_message_is_made_of_is_taken_only_where_it_says_the_same(said: object) -> None:
    line = json.dumps({"step": "load", "status": "failed", "message": "it was ended by SIGKILL", "said": said})
    report = parse_line(line.encode(), STEPS)
    assert isinstance(report, StepReport)
    assert report.message == "it was ended by SIGKILL" and not isinstance(report.message, Words)


def test_u33_words_are_cleaned_and_bounded_as_messages_are() -> None:
    def message(name: str) -> str:
        words = say("it was ended by %(name)s", name=name)
        line = json.dumps({"step": "load", "status": "failed", "message": words, "said": words.parts})
        report = parse_line(line.encode(), STEPS)
        assert isinstance(report, StepReport)
        return report.message

    taken = message("a\x00\x1b\ud800\u202e%(b)s%")
    assert isinstance(taken, Words)
    assert taken.parts == [[NAMED, {"name": "a" + "\N{REPLACEMENT CHARACTER}" * 4 + "%(b)s%"}]]
    shortened = message("a" * 3_900)
    assert isinstance(shortened, Words) and len(shortened) == 2_000
    assert not isinstance(message("a" * 4_000), Words)


def test_a_child_that_reports_success_makes_the_version_ready(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(
        tmp_path,
        monkeypatch,
        f"say({{'step': 'load', 'status': 'passed', 'message': job['format']}})\nsay({{'result': {RESULT!r}}})\n",
    )
    version = outcome(upload(model))
    assert version.state == VersionState.READY
    assert version.steps.get(name="load").message == "safetensors"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("say({'step': 'load', 'status': 'failed', 'message': 'No such layer.'})", "No such layer."),
        ("sys.exit('/secret/path')", "without an answer"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
        ("os.write(fd, b'x' * 10_000_000)", "broken"),
        ("for _ in range(10_000): say({'step': 'load', 'status': 'running'})", "broken"),
        ("say({'result': {}})", "broken"),
        ("sys.stderr.write('x' * 50_000_000)", "without an answer"),
        (f"say({{'result': {RESULT!r}}})\nsys.exit(3)", "without an answer"),
    ],
)
def test_u33_a_child_that_misbehaves_fails_its_version_in_words(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    child(tmp_path, monkeypatch, body)
    version = outcome(upload(model))
    assert version.state == VersionState.FAILED
    assert words in version.state_reason
    assert str(tmp_path) not in version.state_reason


def test_u29_a_child_that_hangs_is_killed_with_everything_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid_file = tmp_path / "pid"
    child(
        tmp_path,
        monkeypatch,
        f"import subprocess\np = subprocess.Popen(['sleep', '600'])\nopen({str(pid_file)!r}, 'w').write(str(p.pid))\n"
        "say({'step': 'load', 'status': 'running'})\ntime.sleep(600)\n",
    )
    lines: list[bytes] = []
    ending = validator_process.run({}, time_limit_s=4.0, on_line=lines.append, on_tick=lambda: None)
    assert ending.timed_out
    assert len(lines) == 1
    try:
        grandchild = os.pidfd_open(int(pid_file.read_text()))
    except ProcessLookupError:
        return
    assert select.select([grandchild], [], [], 30)[0], "the grandchild still runs"
    os.close(grandchild)


def test_the_child_gets_none_of_our_secrets(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPROXY_SECRET_KEY", "s3cret")
    monkeypatch.setenv("DATABASE_URL", "s3cret")
    child(tmp_path, monkeypatch, "say({'step': 'load', 'status': 'failed', 'message': repr(sorted(os.environ))})")
    reason = outcome(upload(model)).state_reason
    assert "PATH" in reason
    assert "SECRET" not in reason and "DATABASE" not in reason


@pytest.mark.slow
def test_a_real_file_goes_through_the_real_validator(model: Model) -> None:
    """An architecture that fits makes it ready; one that does not fails in words (U17)."""
    import io

    def layer(inputs: int, outputs: int) -> bytes:
        return safetensors_file({"0.weight": [outputs, inputs], "0.bias": [outputs]})

    options = {"architecture": json.dumps({"name": "mlp", "widths": [2, 1]})}
    good = outcome(upload(model, file=io.BytesIO(layer(2, 1)), options=options))
    assert (good.state, good.state_reason) == (VersionState.READY, "")
    assert good.signature is not None
    bad = outcome(upload(model, file=io.BytesIO(layer(3, 1)), options=options))
    assert bad.state == VersionState.FAILED
    assert bad.state_reason and bad.state_said == bad.steps.get(status="failed").said is not None
    assert str(artifact_path(bad).parent) not in bad.state_reason
    assert sys.executable not in bad.state_reason
    model.refresh_from_db()
    assert model.default_version == good


def test_unused_claims_of_other_kinds_do_not_hide_versions(model: Model, settings: Any) -> None:
    from models_admin.services import leases

    version = upload(model)
    leases.acquire(name="scaling", holder="x", ttl_s=60, now=timezone.now())
    assert list(validation.unfinished(timezone.now())) == [version]


def test_a_model_deleted_under_its_validation_ends_it_and_is_no_fault(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = upload(model)

    def delete_under_way(_job: Any, *, on_line: Callable[[bytes], None], **_: Any) -> None:
        model.delete()
        on_line(b'{"step": "load", "status": "running"}')

    monkeypatch.setattr(validator_process, "run", delete_under_way)
    validate_version(version.pk)
    assert not ModelVersion.objects.exists()


def test_the_sweep_forgets_claims_of_long_ago_and_no_others(model: Model) -> None:
    claim(upload(model), after_s=-3 * 86_400)
    fresh = claim(upload(model))
    assert fresh is not None
    leases.acquire(name="scaling", holder="a", ttl_s=15, now=timezone.now() - timedelta(days=3))
    sweep()
    assert sorted(ControlLease.objects.values_list("name", flat=True)) == ["scaling", f"validation:{fresh.version.pk}"]
