"""`manage.py serve`: run every process of this node until Ctrl-C (see dlproxy_site.supervisor)."""

from __future__ import annotations

import os
import sys
from typing import Any, ClassVar

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError

from models_admin.management import schema


class Command(BaseCommand):
    """Becomes the supervisor: a process that holds no model of Django and no connection to the database."""

    help = "Run the web process, the Celery worker and beat until Ctrl-C."
    requires_system_checks: ClassVar[list[str]] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Replace this process; the layers forbid importing the site from here, and a process start is no import."""
        try:
            refusal, status = schema.refusal(behind_too=True), os.EX_CONFIG
        except DatabaseError as error:
            refusal, status = f"the database does not answer: {' '.join(str(error).split())}", os.EX_TEMPFAIL
        if refusal is not None:
            self.stderr.write(f"server: {refusal}")
            sys.exit(status)
        os.environ["DLPROXY_HOME"] = str(settings.DLPROXY_HOME)
        os.chdir(settings.BASE_DIR)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "dlproxy_site.serve"])  # noqa: S606  our own interpreter
