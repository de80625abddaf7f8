"""Loads a server with wrk (one thread) and reads what it measured."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, slots=True)
class Shot:
    """What wrk is to send, and where."""

    url: str
    body: bytes
    headers: dict[str, str]


def require_wrk() -> None:
    """End with a word of advice where wrk is missing."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed (Debian's package `wrk`).")


def load(shot: Shot, connections: int, seconds: float) -> dict[str, Any]:
    """Load for whole `seconds`; requests/s of good answers, latencies in ms, errors."""
    return _load(shot, "BODY", shot.body, connections, seconds)


def load_in_turn(shot: Shot, bodies: Sequence[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """As `load`, with `bodies` (each one line) in turn in place of the shot's own."""
    return _load(shot, "BODIES", b"\n".join(bodies), connections, seconds)


def _load(shot: Shot, variable: str, content: bytes, connections: int, seconds: float) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".body") as file:
        file.write(content)
        file.flush()
        headers = "\n".join(f"{name}: {value}" for name, value in shot.headers.items())
        duration = f"-d{max(1, round(seconds))}s"
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", duration, "--timeout", "10s", "-s", SCRIPT, shot.url],
            env={**os.environ, variable: file.name, "HEADERS": headers},
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
    for line in done.stdout.splitlines():
        if line.startswith("JSON "):
            return _row(json.loads(line[5:].replace("nan", "0")))
    raise RuntimeError(f"wrk failed: {done.stdout[-500:]} {done.stderr[-500:]}")


def _row(report: dict[str, Any]) -> dict[str, Any]:
    good = report["requests"] - report["non2xx"]
    return {
        "requests_per_s": round(good / (report["us"] / 1e6), 1),
        "p50_ms": report["p50_ms"],
        "p99_ms": report["p99_ms"],
        "requests": report["requests"],
        "errors": report["non2xx"] + report["socket_errors"] + report["timeouts"],
    }
