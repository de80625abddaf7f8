"""F41: the next version's migrations are applied, and undone, while this version serves under load."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from web_alone import ask, is_right, web_alone

from bench.harness import HOST, ROOT, Site
from proxy.testing.clients import Clients

# A whole server starts, which the harness gives four minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
# A column that this version may leave out, and, the worst that a migration can do to it, one that it may not: it can
# keep no measurement until it is gone again.
MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("models_admin", {last!r})]
    operations = [
        migrations.CreateModel("tomorrow", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("model", "tomorrow", models.TextField(null=True)),
        migrations.AddField("metricsample", "tomorrow", models.IntegerField(default=0)),
    ]
"""
SETTINGS = """
from dlproxy_site.settings.default import *
MIGRATION_MODULES = {"models_admin": "tomorrow_migrations"}
"""

SAMPLES = "SELECT count(*) FROM models_admin_metricsample"
REPORTED = "SELECT at FROM models_admin_nodestatus WHERE name = 'web'"


class Tomorrow:
    """The next version's code as far as its tables go, beside the checkout."""

    def __init__(self, folder: Path, site: Site) -> None:
        package = shutil.copytree(ROOT / "models_admin/migrations", folder / "tomorrow_migrations")
        self.last = max(path.stem for path in package.glob("0*.py"))
        (package / "9999_of_tomorrow.py").write_text(MIGRATION.format(last=self.last))
        (folder / "tomorrow_settings.py").write_text(SETTINGS)
        self._environment = {
            **site.environment,
            "DJANGO_SETTINGS_MODULE": "tomorrow_settings",
            "PYTHONPATH": str(folder),
        }

    async def migrate(self, *target: str) -> None:
        command = [sys.executable, "manage.py", "migrate", "--skip-checks", "--verbosity", "0", *target]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


class Load:
    """Four clients that ask without a pause, until stopped."""

    def __init__(self, site: Site) -> None:
        self.right = 0
        self.others: list[object] = []
        self._clients = Clients(HOST, site.inference_port)
        self._key, self._numbers, self._stopped = site.first_run["api_key"], count(), False
        self._tasks = [asyncio.create_task(self._client()) for _ in range(4)]

    async def _client(self) -> None:
        while not self._stopped:
            number = float(next(self._numbers) % 1_000)
            reply = await ask(self._clients, self._key, number)
            if is_right(reply, number):
                self.right += 1
            else:
                self.others.append(reply)

    async def more(self, answers: int) -> None:
        """Return when so many more have been answered right, or one was not."""
        wanted = self.right + answers
        while self.right < wanted and not self.others:
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)
        await self._clients.close()


async def test_f41_no_request_fails_while_the_next_version_s_tables_are_made_and_undone(tmp_path: Path) -> None:
    with web_alone(tmp_path) as (site, _):
        tomorrow, key, load = Tomorrow(tmp_path, site), site.admin_key(), Load(site)
        await load.more(100)

        await tomorrow.migrate()
        before, reported = of(site, SAMPLES), of(site, REPORTED)
        while not load.others and of(site, REPORTED) == reported:
            await load.more(100)
        assert of(site, SAMPLES) == before  # the worst has come to pass: a second's measurements were not kept
        status, made = await asyncio.to_thread(site.api, "POST", "/api/v1/models", key, {"name": "made-by-the-old"})
        assert (status, made["name"]) == (201, "made-by-the-old")

        await tomorrow.migrate("models_admin", tomorrow.last)
        while not load.others and of(site, SAMPLES) == before:  # until measurements are kept again
            await load.more(100)
        status, models = await asyncio.to_thread(site.api, "GET", "/api/v1/models", key)
        assert {model["name"] for model in models["results"]} == {"affine", "made-by-the-old"}

        await load.stop()
        assert load.others == []


def of(site: Site, query: str) -> object:
    """The one value of a query; asked of the file, which costs no process."""
    with closing(sqlite3.connect(site.home / "dlproxy.sqlite3", timeout=60)) as database:
        return database.execute(query).fetchone()[0]
