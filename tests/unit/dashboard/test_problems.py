"""What counts as a problem, and in which order; no database."""

from __future__ import annotations

from datetime import UTC, datetime

from models_admin.dashboard import problems
from models_admin.models import Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors import NodeView
from proxy.core.reports import MachineReport, ModelSecond, SecondReport, VersionReport

MOMENT = datetime(2026, 11, 25, tzinfo=UTC)


def node(name: str, *, late: bool = False) -> NodeView:
    return NodeView(name, MOMENT, {}, 30.0 if late else 1.0, late)


def report(*versions: VersionReport, **models: ModelSecond) -> SecondReport:
    machine = MachineReport(1.0, (1.0,), 1, 2)
    return SecondReport(1, 1_000, 1, ModelSecond(), models, versions, (), machine)


HEALTHY = [node("celery"), node("beat"), node("web")]


def test_a_healthy_system_has_no_problem() -> None:
    loaded = VersionReport("digits", 1, "ready", True, 1, 1, 0)
    assert problems.find(["digits"], [], report(loaded), HEALTHY, 0.5) == []


def test_a_missing_data_plane_comes_first() -> None:
    found = problems.find([], [], None, [], 0.5)
    assert found[0].title == "Not serving"
    assert [problem.tone for problem in found] == ["bad", "warn", "warn"]


def test_a_default_version_that_cannot_be_loaded_says_why() -> None:
    failed = VersionReport("digits", 1, "failed", True, 0, 1, 5, "its instances ended five times: out of memory")
    (found,) = problems.find(["digits"], [], report(failed), HEALTHY, 0.5)
    assert (found.tone, found.reason) == ("bad", "its instances ended five times: out of memory")
    assert found.url == "/models/digits/"


def test_a_silent_worker_is_a_warning_that_says_that_serving_goes_on() -> None:
    (found,) = problems.find([], [], report(), [node("celery", late=True), node("beat")], 0.5)
    assert "silent for 30 s" in found.reason
    assert "Serving goes on" in found.reason


def test_refused_requests_lead_to_the_policy() -> None:
    second = ModelSecond(rejections=7, queue_depth=1_000)
    (found,) = problems.find(["digits"], [], report(digits=second), HEALTHY, 0.5)
    assert "7 requests were refused" in found.reason
    assert found.url == "/models/digits/policy/"


def test_what_was_refused_lately_stays_a_problem_in_a_second_without_any() -> None:
    refused = {"digits": 40, "gone": 9}
    (found,) = problems.find(["digits"], [], report(digits=ModelSecond()), HEALTHY, 0.5, refused)
    assert f"40 requests were refused or expired in the last {problems.REFUSED_LATELY_S} s" in found.reason


def test_a_failed_upload_carries_its_reason() -> None:
    version = ModelVersion(
        model=Model(name="digits"), number=2, state=VersionState.FAILED, state_reason="No signature."
    )
    (found,) = problems.find([], [version], report(), HEALTHY, 0.5)
    assert (found.reason, found.url) == ("No signature.", "/models/digits/versions/2/")


def test_a_nearly_full_disk_is_bad() -> None:
    (found,) = problems.find([], [], report(), HEALTHY, 0.01)
    assert (found.tone, found.title) == ("bad", "The disk is nearly full")
