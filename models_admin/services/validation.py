"""The course of one version's validation in the database: claimed, step by step, ready or failed.

Rules: one holder at a time (lease with fencing number); a crash is resumed when the lease has run out, at most
MAX_ATTEMPTS times; a stale holder's writes are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from models_admin.models import ControlLease, ModelVersion
from models_admin.models.registry import StepStatus, VersionState
from models_admin.services import defaults, golden, leases, transitions, versions, writing
from models_admin.services.actors import Actor, system_actor
from models_admin.services.validation_report import ResultReport, StepReport
from proxy.core.words import Words, say

MAX_ATTEMPTS = 3
MAX_PARALLEL = 2
"""Validations at once. Larger: a queue of uploads is done sooner, and takes more cores from serving."""
LEASE_S = 30
"""Seconds without a sign of life after which another worker may resume. The task renews each few seconds."""
LEASE_PREFIX = "validation:"
ENDED = frozenset({StepStatus.PASSED, StepStatus.FAILED, StepStatus.SKIPPED})
ACTOR: Actor = system_actor("validation")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to validate `version`, proven by `fence`."""

    version: ModelVersion
    fence: int


@transaction.atomic
def begin(*, version: ModelVersion, holder: str, now: datetime) -> Claim | None:
    """Claim a version that waits or whose validator died; None if another holder has it or nothing is to be done."""
    row = versions.lock_version(version)
    if row.state not in {VersionState.UPLOADED, VersionState.VALIDATING}:
        return None
    if _held(now).exclude(name=_lease(row)).count() >= MAX_PARALLEL:
        return None  # the sweep rings again, and so does the end of each of those
    fence = leases.acquire(name=_lease(row), holder=holder, ttl_s=LEASE_S, now=now)
    if fence is None:
        return None
    if row.validation_attempts >= MAX_ATTEMPTS:
        _end_as_failed(
            row,
            say(
                "Validation was interrupted %(count)s times without an answer (the worker process ended). "
                "Look at the worker's log, then validate anew.",
                count=MAX_ATTEMPTS,
            ),
        )
        return None
    row.validation_attempts += 1
    if row.state == VersionState.UPLOADED:
        transitions.move(row, VersionState.VALIDATING)
    row.save()
    versions.make_steps(row)
    return Claim(row, fence)


@transaction.atomic
def renew(*, claim: Claim, now: datetime) -> None:
    """Extend the claim; Conflict if it was lost."""
    leases.require(name=_lease(claim.version), fence=claim.fence)
    leases.extend(name=_lease(claim.version), fence=claim.fence, ttl_s=LEASE_S, now=now)


@transaction.atomic
def record_step(*, claim: Claim, report: StepReport) -> None:
    """Write one step's new status; Conflict if the claim was lost."""
    leases.require(name=_lease(claim.version), fence=claim.fence)
    step = claim.version.steps.get(name=report.step)
    now = timezone.now()
    step.status = report.status
    step.message = str(report.message)
    step.said = report.message.parts if isinstance(report.message, Words) else None
    step.measurements = report.measurements
    step.started_at = step.started_at or now
    if step.status in ENDED:
        step.finished_at = now
    step.save()


@transaction.atomic
def finish(*, claim: Claim, result: ResultReport) -> ModelVersion:
    """Every step passed: the version is ready, and the model's default if that is due."""
    row = _claimed(claim)
    transitions.move(row, VersionState.READY)
    row.signature = result.signature
    row.batchable = row.batchable and result.batchable
    row.load_time_ms = result.load_time_ms
    row.sample_latency_ms = result.sample_latency_ms
    row.memory_bytes = result.memory_bytes
    row.save()
    golden.inherit_if_due(actor=ACTOR, version=row)
    leases.release(name=_lease(row), fence=claim.fence, now=timezone.now())
    became_default = defaults.become_default_if_due(row.model, row)
    writing.audit(ACTOR, "version.ready", "version", str(row), became_default=became_default)
    writing.publish()
    return row


@transaction.atomic
def fail(*, claim: Claim, reason: str) -> ModelVersion:
    """The version does not run here, with the reason in words (`Words` can be said in the reader's language).

    A ready one that waited for it may serve now.
    """
    row = _claimed(claim)
    _end_as_failed(row, reason)
    leases.release(name=_lease(row), fence=claim.fence, now=timezone.now())
    return row


def unfinished(now: datetime) -> QuerySet[ModelVersion]:
    """Versions that wait for a validator, or whose validator's lease has run out."""
    busy = [int(name.removeprefix(LEASE_PREFIX)) for name in _held(now).values_list("name", flat=True)]
    waiting = ModelVersion.objects.select_related("model").filter(
        state__in=[VersionState.UPLOADED, VersionState.VALIDATING]
    )
    return waiting.exclude(pk__in=busy).order_by("created_at")


def forget_old(now: datetime) -> int:
    """Delete what is left of validations that ended long ago; how many they were."""
    return leases.forget(prefix=LEASE_PREFIX, before=now - timedelta(days=1))


def _held(now: datetime) -> QuerySet[ControlLease]:
    return ControlLease.objects.filter(name__startswith=LEASE_PREFIX, expires_at__gt=now)


def _claimed(claim: Claim) -> ModelVersion:
    row = versions.lock_version(claim.version)
    leases.require(name=_lease(row), fence=claim.fence)
    return row


def _end_as_failed(row: ModelVersion, reason: str) -> None:
    transitions.move(row, VersionState.FAILED, reason)
    row.save()
    row.steps.filter(status=StepStatus.RUNNING).update(status=StepStatus.FAILED, finished_at=timezone.now())
    row.steps.filter(status=StepStatus.PENDING).update(status=StepStatus.SKIPPED)
    said = {"said": row.state_said} if row.state_said else {}
    writing.audit(ACTOR, "version.failed", "version", str(row), reason=str(reason)[:500], **said)
    versions.settle_first(row.model, ACTOR)


def _lease(version: ModelVersion) -> str:
    return f"{LEASE_PREFIX}{version.pk}"
