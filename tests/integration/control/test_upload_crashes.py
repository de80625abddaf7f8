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
PIECES = (
    UPLOADS[: UPLOADS.rindex("print(")]
    + """
from models_admin.selectors.uploads import open_uploads, received_bytes
from models_admin.services import uploads
raw = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
content = struct.pack("<Q", len(raw)) + raw + b"\\0" * 8
actor = system_actor("tests")
def upload(where):
    def die(*args, **kwargs):
        os.kill(os.getpid(), 9)
    model = Model.objects.filter(name="net").first() or models.create_model(actor=actor, name="net")
    digest = hashlib.sha256(content).hexdigest()
    row = open_uploads().first() or uploads.begin(
        actor=actor, owner="user:1", model=model, size_bytes=len(content), metadata="", declared={"sha256": digest})
    at = received_bytes(row)
    if at == 0:
        at = uploads.append(actor=actor, upload=row, offset=0, chunks=[content[:60]])
    if where == "flush":
        os.fsync = die
    if where == "move":
        pathlib.Path.rename = die
    if where == "row":
        versions._insert = die
    uploads.append(actor=actor, upload=row, offset=at, chunks=[content[at:]])
def held():
    sweep_orphans(time.time() + 7_200)
    return received_bytes(open_uploads().get()) >= 60
print(json.dumps([[status_of(where), held(), status_of(""), found()] for where in ("flush", "move", "row")]))
"""
)


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


def test_f18_a_process_killed_in_an_upload_in_pieces_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """While a piece is flushed, before the move to the final place, and after it, before the version's row.

    Whatever the sweep does then, another process goes on from there, and the version is whole.
    """
    assert python(tmp_path, "manage.py", "migrate", "--skip-checks", "-v", "0").returncode == 0
    done = python(tmp_path, "-c", PIECES)
    assert done.returncode == 0, done.stderr
    for rows, (killed, held, ended, found) in enumerate(json.loads(done.stdout), start=1):
        assert (killed, held, ended) == (-9, True, 0), f"killed {rows}"
        assert found == {"rows": rows, "whole": True, "files": rows, "steps": [7] * rows}, f"killed {rows}"
