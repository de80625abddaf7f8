"""The Celery application of the control loop: `celery -A dlproxy_site worker` and `celery -A dlproxy_site beat`."""

from __future__ import annotations

import atexit
import gc
import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import beat_init, worker_init

import dlproxy_site.broker  # noqa: F401  registers embedded://

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")

# Celery warns in five lines who runs it as root. Its reason is pickle; these messages are JSON, from our own processes.
warnings.filterwarnings("ignore", category=SecurityWarning)

app = Celery("dlproxy")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def end_quickly(**_: Any) -> None:
    """Let the process end without a last look through every object: that took three quarters of a second of CPU."""
    atexit.register(gc.freeze)
