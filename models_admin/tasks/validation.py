"""Validation of an upload as a task: claim, run the child, record each step, ready or failed."""

from __future__ import annotations

import logging
import os
import signal
import socket
import uuid
from typing import Any

from celery import current_app, shared_task
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from models_admin.models import ModelVersion, Policy
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import golden, validation
from models_admin.services.errors import Conflict, NotFound
from models_admin.services.validation_report import Malformed, ResultReport, StepReport, parse_line
from models_admin.services.versions import STEPS, VALIDATE_TASK
from models_admin.tasks import validator_process
from models_admin.tasks.outages import through_outages
from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import of_error, say

log = logging.getLogger(__name__)

RESUME_TASK = "models_admin.resume_validations"
RUN_LIMIT_S = 60
"""Time for the steps after the load: sample, batch and measurement run the model a few times."""
GRACE_S = 10
"""How much longer than its own time limit the child may live, to report that it was too slow."""


@shared_task(name=VALIDATE_TASK)
@through_outages
def validate_version(version_id: int) -> None:
    """Validate one version, if it waits for that and nobody else does it. Delivered twice, the second does nothing."""
    version = ModelVersion.objects.select_related("model").filter(pk=version_id).first()
    if version is None:
        return
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    try:
        claim = validation.begin(version=version, holder=holder, now=timezone.now())
        if claim is None:
            return
        log.info("validating %s (attempt %d)", version, claim.version.validation_attempts)
        _run(claim)
    except Conflict as lost:
        log.warning("validation of %s was taken over or the version changed: %s", version, lost)
    except (NotFound, ObjectDoesNotExist):
        log.info("%s was deleted while it was validated", version)
    if validation.unfinished(timezone.now()).exists():
        current_app.send_task(RESUME_TASK, expires=15)


@shared_task(name=RESUME_TASK)
@through_outages
def resume_validations() -> None:
    """Ring again for every version that waits and for those whose validator died."""
    for version_id in validation.unfinished(timezone.now()).values_list("pk", flat=True):
        current_app.send_task(VALIDATE_TASK, args=[version_id], expires=60)


class _Outcome:
    """What the child has said so far."""

    def __init__(self, claim: validation.Claim) -> None:
        self.claim = claim
        self.result: ResultReport | None = None
        self.failed: StepReport | None = None

    def on_line(self, line: bytes) -> None:
        report = parse_line(line, STEPS)
        if isinstance(report, ResultReport):
            self.result = report
            return
        if report.status == "failed":
            self.failed = report
        validation.record_step(claim=self.claim, report=report)

    def on_tick(self) -> None:
        validation.renew(claim=self.claim, now=timezone.now())


def _run(claim: validation.Claim) -> None:
    policy = Policy.objects.get(model=claim.version.model)
    time_limit_s = policy.load_timeout_s + RUN_LIMIT_S
    outcome = _Outcome(claim)
    try:
        ending = validator_process.run(
            _job(claim.version, policy, time_limit_s),
            time_limit_s=time_limit_s + GRACE_S,
            on_line=outcome.on_line,
            on_tick=outcome.on_tick,
        )
    except (Malformed, validator_process.ReportAbused) as error:
        validation.fail(
            claim=claim,
            reason=say(
                "The validator's report was broken (%(error)s); a model may have written into it.",
                error=of_error(error),
            ),
        )
        return
    except OSError as error:
        log.exception("the validator could not be started")
        validation.fail(claim=claim, reason=say("The validator could not be started: %(error)s.", error=error.strerror))
        return
    if outcome.failed is not None:
        validation.fail(claim=claim, reason=outcome.failed.message)
    elif ending.timed_out:
        validation.fail(
            claim=claim,
            reason=say(
                "The model did not load and answer within %(limit)s s and was stopped. If it needs longer, "
                "raise the load timeout in the policy.",
                limit=time_limit_s,
            ),
        )
    elif outcome.result is None or ending.status != 0:
        log.error("validator of %s ended with %d: %s", claim.version, ending.status, ending.error_tail)
        validation.fail(claim=claim, reason=_ended_early(ending))
    else:
        validation.finish(claim=claim, result=outcome.result)


def _job(version: ModelVersion, policy: Policy, time_limit_s: int) -> dict[str, Any]:
    return {
        "artifact_path": str(artifact_path(version)),
        "format": version.format,
        "declared_signature": version.declared_signature,
        "options": version.options,
        "batchable": version.batchable,
        "stateful": version.stateful,
        "threads": policy.threads_per_instance,
        "memory_limit_bytes": policy.memory_limit_mib * BYTES_PER_MIB,
        "time_limit_s": time_limit_s,
        **golden.document_to_reproduce(version),
    }


def _ended_early(ending: validator_process.Ending) -> str:
    if ending.status < 0:
        name = signal.Signals(-ending.status).name
        words = say("The model's process was ended by %(name)s before it answered.", name=name)
        hint = say(" It may need more memory than the policy allows.") if name == "SIGKILL" else ""
        return words + hint
    # Its error output may hold paths or a model's words: it goes to the log only.
    return say(
        "The validator stopped without an answer (status %(status)s); the server's log says more.", status=ending.status
    )
