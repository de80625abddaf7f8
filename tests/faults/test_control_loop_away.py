"""F33: all of Celery has been down for half an hour; the web process alone serves, as if started without the rest."""

from __future__ import annotations

import asyncio
import os
import signal
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from web_alone import QUEUE, is_right, web_alone
from web_alone import ask as ask_of

from bench.harness import HOST, Site
from proxy.testing.clients import Clients

# A whole server starts, which the harness gives four minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    with web_alone(tmp_path) as served:
        yield served


def instance_of(site: Site) -> psutil.Process:
    (process,) = site.processes("proxy.worker")
    return process


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

    ask = partial(ask_of, clients, key)

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
