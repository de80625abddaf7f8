"""A real worker and beat on the embedded broker: heartbeats, kill -9 in the middle, two beats (F32, F34)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
STATE = """
import django; django.setup()
from models_admin.models import ModelVersion
print(ModelVersion.objects.get().state)
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
NODES = """
import django; django.setup()
from models_admin.models import ControlLease
from models_admin.selectors import nodes
lease = ControlLease.objects.filter(name="scaling").first()
print(sorted(node.name for node in nodes()), lease.fence if lease else None)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    done = python(tmp_path, "manage.py", "migrate", "--skip-checks", "-v", "0")
    assert done.returncode == 0, done.stderr
    return tmp_path


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


def until(home: Path, script: str, wanted: str) -> None:
    """Look until the script prints `wanted`; the test's own time limit ends a wait in vain."""
    seen = ""
    for _ in range(120):
        seen = python(home, "-c", script).stdout.strip()
        if seen == wanted:
            return
        time.sleep(0.2)
    logs = "".join(path.read_text()[-1_500:] for path in home.glob("*.log"))
    pytest.fail(f"{seen!r} instead of {wanted!r}\n{logs}")


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
    assert python(home, "-c", STATE).stdout.strip() == "validating"
    worker(start)
    python(home, "-c", LEASE_RAN_OUT)
    until(home, STATE, "ready")


def test_f34_two_beats_ring_twice_and_one_lease_decides(
    home: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    worker(start)
    for name in ("one", "two"):
        start("beat", "--pidfile", "", "--schedule", str(home / f"beat-{name}"))
    until(home, NODES, "['beat', 'celery'] 1")
    time.sleep(6)  # another tick of each
    until(home, NODES, "['beat', 'celery'] 1")
    assert not list((home / "celery" / "messages").glob("*.msg.part"))
