"""The rollout tick: lease, measurements of both versions, pure verdict, Decision row and wanted state.

Rules: as for scaling (models_admin/tasks/scaling.py): one controller at a time, each look starts from the database,
nothing depends on how often it comes. Without looks a rollout stays at its step: it neither goes on nor ends, and the
data plane goes on sending the candidate no more than that step's weight, and nothing while it does not answer or
once its errors are surely more (proxy.tuner.rollout_guard); the next look makes an abort of that. A fault
in one rollout's look is logged and costs no other rollout its own.
"""

from __future__ import annotations

import logging
import os
import socket
from datetime import datetime

from celery import shared_task
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from models_admin.models import Rollout
from models_admin.models.rollouts import ACTIVE_STATES, RolloutState
from models_admin.selectors.rollouts import Measured, measure
from models_admin.services import leases, rollout_control
from models_admin.services.errors import Conflict, NotFound
from models_admin.services.rollout_rules import as_policy
from models_admin.tasks.outages import DATABASE_AWAY, through_outages
from proxy.core.snapshot import RolloutMode
from proxy.tuner.rollout import Abort, Advance, Promote, RolloutPolicy, RolloutView, Verdict, Wait, judge_rollout

log = logging.getLogger(__name__)

LEASE_S = 8.0
"""Four ticks. A larger one would keep a rollout unwatched for longer when its controller dies: an abort within 30 s of
the first breach allows for one lost controller."""


@shared_task(name="models_admin.roll_out")
@through_outages
def roll_out() -> None:
    """Look at every rollout that runs or is held."""
    run_tick(holder=f"{socket.gethostname()}:{os.getpid()}", now=timezone.now())


def run_tick(*, holder: str, now: datetime) -> None:
    """One tick as `holder`; does nothing while another holds the lease."""
    rollout_control.let_go_of_the_warm(now)
    active = Rollout.objects.filter(state__in=ACTIVE_STATES).select_related("model__default_version", "candidate")
    if not active.exists():
        return
    fence = leases.acquire(name=rollout_control.LEASE, holder=holder, ttl_s=LEASE_S, now=now)
    if fence is None:
        return
    for rollout in active:
        try:
            _look(rollout, fence, now)
        except Conflict as lost:
            log.warning("the rollout of %s was not acted on: %s", rollout.model.name, lost)
        except (NotFound, ObjectDoesNotExist):
            log.info("%s was deleted during the tick", rollout.model.name)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("the rollout of %s could not be looked at; it stays at its step", rollout.model.name)


def _look(rollout: Rollout, fence: int, now: datetime) -> None:
    verdict = judge_rollout(view_of(rollout, measure(rollout, now=now), now), policy_of(rollout))
    _act(rollout, verdict, fence, now)
    if not isinstance(verdict, Wait):
        log.info("%s: %s (%s)", rollout, type(verdict).__name__.lower(), verdict.words)


def _act(rollout: Rollout, verdict: Verdict, fence: int, now: datetime) -> None:
    evidence = dict(verdict.evidence)
    match verdict:
        case Wait(words=words, restart_clock=restart):
            rollout_control.note(
                fence=fence, rollout=rollout, words=words, evidence=evidence, step_started_at=now if restart else None
            )
        case Advance(to_step=to_step, words=words, reason=reason):
            rollout_control.apply_step(
                fence=fence,
                rollout=rollout,
                to_step=to_step,
                reason=reason.value,
                words=words,
                evidence=evidence,
                now=now,
            )
        case Promote(words=words, reason=reason):
            rollout_control.apply_promotion(
                fence=fence, rollout=rollout, reason=reason.value, words=words, evidence=evidence
            )
        case Abort(words=words, reason=reason):
            rollout_control.apply_abort(
                fence=fence, rollout=rollout, reason=reason.value, words=words, evidence=evidence
            )


def policy_of(rollout: Rollout) -> RolloutPolicy:
    """An operator's bounds in the decision's units."""
    return RolloutPolicy(
        mode=RolloutMode(rollout.mode),
        steps=as_policy(rollout),
        max_error_ratio=rollout.max_error_percent / 100,
        max_p99_ratio=rollout.max_p99_ratio,
        max_differing_ratio=rollout.max_differing_percent / 100,
    )


def view_of(rollout: Rollout, measured: Measured, now: datetime) -> RolloutView:
    """The rollout as it stands now."""
    return RolloutView(
        step_index=rollout.step_index,
        step_age_s=(now - rollout.step_started_at).total_seconds(),
        is_held=rollout.state == RolloutState.HOLDING,
        candidate_state=measured.candidate_state,
        windows=measured.windows,
        age_s=measured.age_s,
        trouble=measured.trouble,
        failed_starts=measured.failed_starts,
        stopped=measured.stopped,
    )
