"""F33: all of Celery has been down for half an hour; the web process alone serves, as if started without the rest."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.harness import HOST, Site, new_home, serving
from proxy.testing import models
from proxy.testing.clients import Clients, Reply, inference

# A whole server starts, which the harness gives four minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
WEB_ALONE = (sys.executable, "-m", "dlproxy_site.web")
QUEUE = 4
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


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """The web process without worker and beat, serving `affine`; and the cookie of its administrator."""
    file = models.script(tmp_path, "affine").artifact_path
    with new_home(demo=False) as environment:
        before = Site(Path(environment["DLPROXY_HOME"]), 0, 0, None, environment)  # type: ignore[arg-type]
        printed = before.manage("shell", "--command", PREPARE.format(file=str(file), queue=QUEUE))
        session = next(line.split()[1] for line in printed.splitlines() if line.startswith("SESSION"))
        with serving(environment, ("affine",), WEB_ALONE) as site:
            yield site, session


def instance_of(site: Site) -> psutil.Process:
    (process,) = site.processes("proxy.worker")
    return process


def is_right(reply: Reply | None, number: float) -> bool:
    return reply is not None and reply.status == 200 and reply.rows == [[2 * number + 1] * 4]


def problems(site: Site, session: str) -> str:
    """The overview's list of problems, as its administrator gets it. `session` is the cookie."""
    request = urllib.request.Request(f"http://{HOST}:{site.port}/problems/", headers={"Cookie": session})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


async def test_f33_without_celery_serving_goes_on_a_killed_instance_is_replaced_and_the_pages_say_who_is_silent(
    alone: tuple[Site, str],
) -> None:
    site, session = alone
    key = site.first_run["api_key"]
    clients = Clients(HOST, site.inference_port)

    def ask(number: float) -> asyncio.Future[Reply | None]:
        return asyncio.ensure_future(clients.fetch(inference("affine", [[number] * 4], key)))

    assert is_right(await ask(1.0), 1.0)

    killed = instance_of(site)
    killed.kill()
    replies = [await ask(float(number)) for number in range(20)]
    assert all(is_right(reply, float(number)) for number, reply in enumerate(replies))
    replacement = instance_of(site)
    assert replacement.pid != killed.pid

    os.kill(replacement.pid, signal.SIGSTOP)  # more than its queue holds has nobody to answer it
    asked = [ask(float(number)) for number in range(4 * QUEUE)]
    done, _ = await asyncio.wait(asked, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    os.kill(replacement.pid, signal.SIGCONT)
    replies = await asyncio.gather(*asked)
    shed = [reply for reply in replies if reply is not None and reply.status in (429, 503)]
    assert shed
    assert all(reply.retry_after_s for reply in shed)
    assert done
    right = [number for number, reply in enumerate(replies) if is_right(reply, float(number))]
    assert len(right) + len(shed) == len(replies)
    await clients.close()

    status, listed = await asyncio.to_thread(site.api, "GET", "/api/v1/nodes", site.admin_key())
    assert status == 200
    assert {node["name"]: node["late"] for node in listed["results"]} == {"beat": True, "celery": True, "web": False}
    page = await asyncio.to_thread(problems, site, session)
    assert "The Celery worker is silent" in page
    assert "Celery beat is silent" in page
    assert "Serving goes on with the last decisions" in page
