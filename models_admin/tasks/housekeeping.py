"""Tasks that keep house: heartbeats, roll-up, retention and the sweep of orphaned files."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

from celery import shared_task
from celery.signals import before_task_publish
from django.contrib.sessions.backends.db import SessionStore
from django.db import DatabaseError
from django.utils import timezone

from models_admin.publishing.connections import looked_after
from models_admin.services import artifacts, deletions, measurements, nodes, retention, uploads, validation
from models_admin.tasks.outages import through_outages
from proxy.core.outage import Outage, in_words

log = logging.getLogger(__name__)

HEARTBEAT_TASK = "models_admin.heartbeat"
_beat = Outage()


@shared_task(name=HEARTBEAT_TASK)
@through_outages
def heartbeat() -> None:
    """The worker lives: it ran this."""
    nodes.heartbeat(name="celery", info={"pid": os.getpid(), "host": socket.gethostname()}, at=timezone.now())


@before_task_publish.connect(sender=HEARTBEAT_TASK)
def note_beat(**_signal: Any) -> None:
    """Beat lives: it sends this. Runs in beat's process, so that a dead worker does not make beat look dead."""
    try:
        with looked_after():
            nodes.heartbeat(name="beat", info={"pid": os.getpid(), "host": socket.gethostname()}, at=timezone.now())
    except DatabaseError as error:  # sending the tasks matters more
        if _beat.failed(error):
            log.warning("beat cannot note its heartbeat: %s", in_words(error))
    else:
        if _beat.worked():
            log.info("beat notes its heartbeat again")


@shared_task(name="models_admin.roll_up")
@through_outages
def roll_up() -> None:
    """Roll ended minutes up."""
    measurements.roll_up(now=timezone.now())


@shared_task(name="models_admin.sweep")
@through_outages
def sweep() -> None:
    """Drop what is old: measurements, decisions, what was deleted, files of no version, ended claims and sessions."""
    now = timezone.now()
    gone = deletions.remove_expired(now=now)
    removed = measurements.drop_old(now=now) + retention.drop_old(now=now) + uploads.expire(now=now)
    orphans = artifacts.sweep_orphans()
    validation.forget_old(now)
    SessionStore.clear_expired()
    log.info(
        "sweep: %d old rows, %d deleted models and versions, and %d orphaned files removed", removed, gone, orphans
    )
