"""`manage.py prepare`: all that a start needs, in one process: static files, tables, first accounts, demo models.

Place: script/server, before the server. Each part looks first whether it was done, so a later start takes a second.
Rules: what fails is said in one line that names the part; a database that newer code has changed is left alone. The
exit status is that of dlproxy_site/serve.py: 78 for the latter, 75 for what the world refused.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from models_admin.management import schema, static_build


class Command(BaseCommand):
    """Safe to run at every start, and again after a crash."""

    help = "Make static files, tables, the first accounts and the demo models, as far as they are missing."
    # They import every page and route, twice the time of the rest; script/test runs them.
    requires_system_checks: ClassVar[list[str]] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="Leave the demo models out.")

    def handle(self, *_args: Any, no_demo: bool, **_options: Any) -> None:
        try:
            self._prepare(no_demo)
        except CommandError as error:
            self.stderr.write(f"server: {error}")
            sys.exit(error.returncode)

    def _prepare(self, no_demo: bool) -> None:
        with failing_as("the static files could not be made"):
            static_build.build()
        with failing_as("the database could not be brought up to date"):
            refusal = schema.refusal(behind_too=False)
            if refusal is None:
                # Also when no table changes: what it does afterwards (rights of accounts) may have been broken off.
                call_command("migrate", interactive=False, verbosity=0, skip_checks=True)
        if refusal is not None:
            raise CommandError(refusal, returncode=os.EX_CONFIG)
        with failing_as("the first data could not be made"):
            call_command("bootstrap", no_demo=no_demo, stdout=self.stdout, stderr=self.stderr, skip_checks=True)


@contextmanager
def failing_as(words: str) -> Iterator[None]:
    """Say what the world refuses (a disk, a database, a child process) as one line that begins with `words`."""
    try:
        yield
    except (OSError, DatabaseError, CommandError) as error:
        raise CommandError(f"{words}: {' '.join(str(error).split())}", returncode=os.EX_TEMPFAIL) from error
