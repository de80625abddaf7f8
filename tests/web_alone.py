"""A real web process on its own ports and home that serves `affine` (2x + 1), without worker and beat."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.harness import Site, new_home, serving
from proxy.testing import models
from proxy.testing.clients import Clients, Reply, inference

WEB_ALONE = (sys.executable, "-m", "dlproxy_site.web")
QUEUE = 4
"""Requests that may wait."""
# A ready version, as its validation left it, and the last heartbeats of Celery, half an hour old.
PREPARE = """
import hashlib, pathlib
from datetime import timedelta
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from models_admin.models import ModelVersion, NodeStatus
from models_admin.models.registry import VersionState
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import models, policies, versions
from models_admin.services.actors import system_actor
actor = system_actor("tests")
model = models.create_model(actor=actor, name="affine")
content = pathlib.Path({file!r}).read_bytes()
signature = {{"inputs": [{{"name": "x", "datatype": "FP32", "shape": [-1, 4]}}],
              "outputs": [{{"name": "y", "datatype": "FP32", "shape": [-1, 4]}}]}}
version = ModelVersion.objects.create(model=model, number=1, digest=hashlib.sha256(content).hexdigest(),
    size_bytes=len(content), format="torchscript", state=VersionState.READY, signature=signature)
artifact_path(version).parent.mkdir(parents=True, exist_ok=True)
artifact_path(version).write_bytes(content)
versions.promote(actor=actor, version=version)
policies.update_policy(actor=actor, model=model, cache_enabled=False, max_batch_rows=1, max_queue_requests={queue})
for name in ("celery", "beat"):
    NodeStatus.objects.create(name=name, at=timezone.now() - timedelta(minutes=30))
client = Client()
client.force_login(User.objects.filter(is_superuser=True).first())
print("SESSION", f"{{settings.SESSION_COOKIE_NAME}}={{client.cookies[settings.SESSION_COOKIE_NAME].value}}")
"""


@contextmanager
def web_alone(folder: Path) -> Iterator[tuple[Site, str]]:
    """The web process, ready; and the cookie of its administrator."""
    file = models.script(folder, "affine").artifact_path
    with new_home(demo=False) as environment:
        before = Site(Path(environment["DLPROXY_HOME"]), 0, 0, None, environment)  # type: ignore[arg-type]
        printed = before.manage("shell", "--command", PREPARE.format(file=str(file), queue=QUEUE))
        session = next(line.split()[1] for line in printed.splitlines() if line.startswith("SESSION"))
        with serving(environment, ("affine",), WEB_ALONE) as site:
            yield site, session


def ask(clients: Clients, key: str, number: float) -> asyncio.Future[Reply | None]:
    """One request; the right answer is `is_right(reply, number)`."""
    return asyncio.ensure_future(clients.fetch(inference("affine", [[number] * 4], key)))


def is_right(reply: Reply | None, number: float) -> bool:
    """Whether this answers `ask` of `number`."""
    return reply is not None and reply.status == 200 and reply.rows == [[2 * number + 1] * 4]
