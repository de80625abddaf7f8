"""A real worker and beat on the embedded broker: heartbeats, kill -9 in the middle, two beats (F32, F34)."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.integration.control.test_settings import ROOT, python

pytestmark = pytest.mark.slow

CELERY = [sys.executable, "-m", "celery", "--app", "dlproxy_site.celery:app", "--quiet"]
UPLOAD = """
import django, io, json, struct; django.setup()
from models_admin.services import models, versions
from models_admin.services.actors import system_actor
parts = {"0.weight": [1, 2], "0.bias": [1]}
header = {"0.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]},
          "0.bias": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}}
raw = json.dumps(header).encode()
actor = system_actor("tests")
model = models.create_model(actor=actor, name="net")
versions.create_version(actor=actor, model=model, file=io.BytesIO(struct.pack("<Q", len(raw)) + raw + b"\\0" * 12),
    options={"architecture": json.dumps({"name": "mlp", "widths": [2, 1]})})
"""
LEASE_RAN_OUT = """
import django; django.setup()
from datetime import timedelta
from django.utils import timezone
from models_admin.models import ControlLease
ControlLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
from celery import current_app
current_app.send_task("models_admin.resume_validations")
"""
# Asked of the file: a process with Django in it takes seconds of the processor for each look.
STATE = "SELECT state FROM models_admin_modelversion"
NODES = "SELECT name FROM models_admin_nodestatus ORDER BY name"
LEASE = "SELECT fence, expires_at FROM models_admin_controllease WHERE name = 'scaling'"
PATIENCE_S = 120.0
"""Longer than anything here takes on any machine: a test that waits so long hangs."""


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    done = python(folder, "manage.py", "migrate", "--skip-checks", "-v", "0")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def home(tmp_path: Path, migrated: Path) -> Path:
    return shutil.copytree(migrated, tmp_path / "home")


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "DLPROXY_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "dlproxy_site.settings.default",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        log = (home / f"{arguments[0]}-{len(running)}.log").open("wb")
        process = subprocess.Popen([*CELERY, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log)
        log.close()
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()


def worker(start: Callable[..., subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    return start("worker", "--loglevel", "INFO", "--without-mingle", "--without-gossip", "--pool", "threads")


def told(home: Path, question: str) -> list[tuple[Any, ...]]:
    """Rows of the server's database."""
    with closing(sqlite3.connect(home / "dlproxy.sqlite3")) as database:
        return database.execute(question).fetchall()


def until(home: Path, reached: Callable[[], bool]) -> None:
    """Look until it holds; fails with what the processes said."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not reached():
        if time.monotonic() > give_up_s:
            pytest.fail("".join(path.read_text()[-1_500:] for path in home.glob("*.log")))
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def test_f32_a_worker_killed_in_a_validation_leaves_no_child_and_its_successor_finishes(
    home: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    first = worker(start)
    assert python(home, "-c", UPLOAD).returncode == 0
    while not (children := children_of(first.pid)):
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    for child in children:
        while Path(f"/proc/{child}").exists():
            time.sleep(0.05)
    assert told(home, STATE) == [("validating",)]
    worker(start)
    python(home, "-c", LEASE_RAN_OUT)
    until(home, lambda: told(home, STATE) == [("ready",)])


def test_f34_two_beats_ring_twice_and_one_lease_decides(
    home: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    worker(start)
    for name in ("one", "two"):
        start("beat", "--pidfile", "", "--schedule", str(home / f"beat-{name}"))
    seen: set[tuple[Any, ...]] = set()

    def three_ticks() -> bool:
        seen.update(told(home, LEASE))
        return len(seen) >= 3

    until(home, lambda: told(home, NODES) == [("beat",), ("celery",)])
    until(home, three_ticks)
    assert {fence for fence, _ in seen} == {1}
    assert not list((home / "celery" / "messages").glob("*.msg.part"))
