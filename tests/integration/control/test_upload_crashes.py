"""kill -9 at each step of an upload: then the version is whole or absent, and the sweep removes the rest (F18)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.control.test_settings import python

pytestmark = pytest.mark.slow

UPLOAD = """
import django, io, os, json, pathlib, struct, sys; django.setup()
from django.db import transaction
from models_admin.models import Model
from models_admin.services import models, versions
from models_admin.services.actors import system_actor
actor = system_actor("tests")
model = Model.objects.filter(name="net").first() or models.create_model(actor=actor, name="net")
kill_at, step = int(sys.argv[1]), 0
def dying(real):
    def call(*args, **kwargs):
        global step
        step += 1
        if step == kill_at:
            os.kill(os.getpid(), 9)
        return real(*args, **kwargs)
    return call
os.fsync = dying(os.fsync)
pathlib.Path.rename = dying(pathlib.Path.rename)
versions._insert = dying(versions._insert)
versions.make_steps = dying(versions.make_steps)
versions.current_app.send_task = dying(lambda *a, **k: None)
raw = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
versions.create_version(actor=actor, model=model, file=io.BytesIO(struct.pack("<Q", len(raw)) + raw + b"\\0" * 8))
"""
CHECK = """
import django, hashlib, json, pathlib, time; django.setup()
from django.conf import settings
from models_admin.models import ModelVersion
from models_admin.selectors.artifacts import artifact_path
from models_admin.services.artifacts import sweep_orphans
rows = list(ModelVersion.objects.all())
whole = all(hashlib.sha256(artifact_path(row).read_bytes()).hexdigest() == row.digest for row in rows)
sweep_orphans(time.time() + 7_200)
left = [path for path in pathlib.Path(settings.DLPROXY_ARTIFACTS_DIR).rglob("*") if path.is_file()]
print(json.dumps({"rows": len(rows), "whole": whole, "files": len(left), "steps": [r.steps.count() for r in rows]}))
"""


def test_f18_a_process_killed_at_any_step_of_an_upload_leaves_it_whole_or_absent(tmp_path: Path) -> None:
    """Steps: flush the file, rename, flush the folder, begin the row, within its transaction, after the commit."""
    assert python(tmp_path, "manage.py", "migrate", "--skip-checks", "-v", "0").returncode == 0
    expected_rows = [0, 0, 0, 0, 0, 1]
    for kill_at, rows in enumerate(expected_rows, start=1):
        assert python(tmp_path, "-c", UPLOAD, str(kill_at)).returncode == -9
        seen = json.loads(python(tmp_path, "-c", CHECK).stdout)
        assert seen == {"rows": rows, "whole": True, "files": rows, "steps": [7] * rows}, f"killed at step {kill_at}"
    assert python(tmp_path, "-c", UPLOAD, "99").returncode == 0
    assert json.loads(python(tmp_path, "-c", CHECK).stdout)["rows"] == 2
