"""Starts our server with a home of its own, as script/server does, and stops it; what the machine is."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
HOST = "127.0.0.1"
START_LIMIT_S = 240
SERVE = (sys.executable, "manage.py", "serve")

_ADMIN_KEY = """
from models_admin.services.actors import Actor
from models_admin.services.keys import create_key
actor = Actor(label="system:bench", is_admin=True, may_upload_code=True, remote_addr=None)
print("SECRET", create_key(actor=actor, name="bench", scope="admin", may_upload_code=True)[1])
"""


def free_port() -> int:
    """A port that nothing listens on at present."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Site:
    """A running server of ours: where it is, its supervisor, its first secrets."""

    home: Path
    port: int
    inference_port: int
    process: subprocess.Popen[bytes]
    environment: dict[str, str]

    @property
    def first_run(self) -> dict[str, Any]:
        """What the first run wrote down: key, password, demo request."""
        content: dict[str, Any] = json.loads((self.home / "first-run.json").read_text())
        return content

    def manage(self, *arguments: str) -> str:
        """Output of a management command in this server's environment."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)[:80]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def admin_key(self) -> str:
        """A fresh administrator's key."""
        for line in self.manage("shell", "--command", _ADMIN_KEY).splitlines():
            if line.startswith("SECRET "):
                return line.removeprefix("SECRET ").strip()
        raise RuntimeError("no key was made")

    def api(self, method: str, path: str, key: str, content: Any = None) -> tuple[int, Any]:
        """Call the admin API; returns status and decoded body."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if content is None else json.dumps(content), headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(body) if body else None

    def processes(self, word: str) -> list[psutil.Process]:
        """Our processes, below the supervisor, whose command line contains `word`."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    found.append(process)
        return found


def model_ready(port: int, model: str, key: str) -> bool:
    """Whether the model answers on the inference port."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", f"/v2/models/{model}/ready", headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def running_site(models: tuple[str, ...] = ("digits", "silero-vad")) -> Iterator[Site]:
    """Our server on free ports with a temporary home, ready; stopped and removed afterwards."""
    with new_home() as environment, serving(environment, models) as site:
        yield site


@contextlib.contextmanager
def new_home(*, demo: bool = True) -> Iterator[dict[str, str]]:
    """Settings of a server with a temporary home: static files, tables, accounts and (`demo`) the demo models."""
    home = Path(tempfile.mkdtemp(prefix="dlproxy-bench-"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("DLPROXY_")},
        "DLPROXY_HOME": str(home),
        "DLPROXY_PORT": str(free_port()),
        "DLPROXY_INFERENCE_PORT": str(free_port()),
        "DJANGO_SETTINGS_MODULE": "dlproxy_site.settings.default",
    }
    try:
        # As script/server does, static files too: without them a checkout that never ran the server has no pages.
        command = [sys.executable, "manage.py", "prepare", *([] if demo else ["--no-demo"])]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield environment
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def serving(
    environment: dict[str, str], models: tuple[str, ...] = (), command: Sequence[str] = SERVE
) -> Iterator[Site]:
    """The server of a home, ready with `models`; stopped afterwards."""
    home = Path(environment["DLPROXY_HOME"])
    log = (home / "output.log").open("wb")
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
    )
    site = Site(
        home, int(environment["DLPROXY_PORT"]), int(environment["DLPROXY_INFERENCE_PORT"]), process, environment
    )
    try:
        wait_ready(site, models)
        yield site
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        log.close()


def wait_ready(site: Site, models: tuple[str, ...]) -> None:
    """Return when each of `models` answers; raises with the end of the log when the server ends or time is up."""
    began_s = time.monotonic()
    key = site.first_run["api_key"]
    while not (is_up(site) and all(model_ready(site.inference_port, model, key) for model in models)):
        if site.process.poll() is not None or time.monotonic() - began_s > START_LIMIT_S:
            raise RuntimeError("the server is not ready:\n" + (site.home / "output.log").read_text()[-4000:])
        time.sleep(0.1)


def is_up(site: Site) -> bool:
    """Whether both ports answer."""
    for port in (site.inference_port, site.port):
        connection = http.client.HTTPConnection(HOST, port, timeout=2)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status != 200:
                return False
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
    return True


def machine() -> dict[str, Any]:
    """Hardware and versions, for the results file."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
        else:
            processor = platform.processor()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    packages = ("torch", "uvicorn", "uvloop", "httptools", "fastapi", "msgspec", "Django")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "packages": {name: version(name) for name in packages},
    }


def write_result(name: str, content: dict[str, Any]) -> Path:
    """Keep a result as data: bench/results/<date>-<name>.json."""
    folder = ROOT / "bench" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%d')}-{name}.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    return path
