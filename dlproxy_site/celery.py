"""The Celery application of the control loop: `celery -A dlproxy_site worker` and `celery -A dlproxy_site beat`."""

from __future__ import annotations

import os

from celery import Celery

import dlproxy_site.broker  # noqa: F401  registers embedded://

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")

app = Celery("dlproxy")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
