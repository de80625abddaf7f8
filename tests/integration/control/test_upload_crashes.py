"""kill -9 at each step of an upload: then the version is whole or absent, and the sweep removes the rest (F18)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.control.test_settings import python

pytestmark = pytest.mark.slow

UPLOADS = """
import django, hashlib, io, json, os, pathlib, struct, time; django.setup()
from django.conf import settings
from django.db import connections
from models_admin.models import Model, ModelVersion
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import models, versions
from models_admin.services.actors import system_actor
from models_admin.services.artifacts import sweep_orphans
step = 0
def upload(kill_at):
    def dying(real):
        def call(*args, **kwargs):
            global step
            step += 1
            if step == kill_at:
                os.kill(os.getpid(), 9)
            return real(*args, **kwargs)
        return call
    actor = system_actor("tests")
    model = Model.objects.filter(name="net").first() or models.create_model(actor=actor, name="net")
    os.fsync = dying(os.fsync)
    pathlib.Path.rename = dying(pathlib.Path.rename)
    versions._insert = dying(versions._insert)
    versions.make_steps = dying(versions.make_steps)
    versions.current_app.send_task = dying(lambda *a, **k: None)
    raw = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    file = io.BytesIO(struct.pack("<Q", len(raw)) + raw + b"\\0" * 8)
    versions.create_version(actor=actor, model=model, file=file)
def status_of(kill_at):
    connections.close_all()
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        upload(kill_at)
        os._exit(0)
    finally:
        os._exit(1)
def found():
    rows = list(ModelVersion.objects.all())
    whole = all(hashlib.sha256(artifact_path(row).read_bytes()).hexdigest() == row.digest for row in rows)
    sweep_orphans(time.time() + 7_200)
    left = [path for path in pathlib.Path(settings.DLPROXY_ARTIFACTS_DIR).rglob("*") if path.is_file()]
    return {"rows": len(rows), "whole": whole, "files": len(left), "steps": [row.steps.count() for row in rows]}
print(json.dumps([[status_of(kill_at), found()] for kill_at in range(1, 8)]))
"""


def test_f18_a_process_killed_at_any_step_of_an_upload_leaves_it_whole_or_absent(tmp_path: Path) -> None:
    """Steps: flush the file, rename, flush the folder, begin the row, within its transaction, after the commit, none.

    Each upload is a process of its own, a fork of one that has loaded what all of them need.
    """
    assert python(tmp_path, "manage.py", "migrate", "--skip-checks", "-v", "0").returncode == 0
    done = python(tmp_path, "-c", UPLOADS)
    assert done.returncode == 0, done.stderr
    expected = [(-9, 0), (-9, 0), (-9, 0), (-9, 0), (-9, 0), (-9, 1), (0, 2)]
    for step, ((status, rows), (ended, found)) in enumerate(zip(expected, json.loads(done.stdout), strict=True), 1):
        assert ended == status, f"the upload that dies at step {step}"
        assert found == {"rows": rows, "whole": True, "files": rows, "steps": [7] * rows}, f"killed at step {step}"
