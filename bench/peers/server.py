"""Starts a peer, finds all of its processes by a mark in their environment, and stops only those."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import IO

import psutil

from bench.peers import models
from bench.peers.catalogue import HARNESS, Launch, Recipe
from bench.target import Endpoint

START_LIMIT_S = 120
_GRACE_S = 4.0


class PeerServer:
    """One peer with one model; ready when the constructor's context is entered."""

    def __init__(self, recipe: Recipe, workload: str, port: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="dlproxy-peer-"))
        self._launch: Launch = recipe(workload, self._folder, port)
        self._workload = workload
        self._mark = f"dlproxy-peer-{uuid.uuid4().hex}"
        self._log: IO[bytes] = (self._folder / "output.log").open("wb")
        self.endpoint = Endpoint(port, self._launch.path, self._launch.wire)
        self.cold_start_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PeerServer:
        began_s = time.monotonic()
        self._process = subprocess.Popen(
            self._launch.argv,
            env=self._environment(),
            cwd=self._launch.cwd,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait(self._process, began_s)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def processes(self) -> list[psutil.Process]:
        """Every process that carries our mark."""
        found, mark = [], self._mark.encode()
        for pid in psutil.pids():
            with contextlib.suppress(OSError, psutil.Error):
                if mark in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(psutil.Process(pid))
        return found

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DLPROXY_", "PYTHON"))}
        ours = {"PEERS_MARK": self._mark, "PEERS_HARNESS": str(HARNESS), "PYTHONPATH": str(HARNESS)}
        threads = {"TORCH_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return {**kept, **ours, **threads, "MODEL": self._workload, "PYTHONDONTWRITEBYTECODE": "1", **self._launch.env}

    def _wait(self, process: subprocess.Popen[bytes], began_s: float) -> None:
        row = models.sample(self._workload)
        while process.poll() is None and time.monotonic() - began_s < START_LIMIT_S:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.endpoint.ask(row, 10)[0] == 200:
                    self.cold_start_s = time.monotonic() - began_s
                    return
            time.sleep(0.05)
        raise RuntimeError("the peer is not ready:\n" + (self._folder / "output.log").read_text()[-2_000:])

    def _stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes():
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            end_s = time.monotonic() + _GRACE_S
            while time.monotonic() < end_s:
                if self._process is not None:
                    self._process.poll()
                if not self.processes():
                    break
                time.sleep(0.1)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)
