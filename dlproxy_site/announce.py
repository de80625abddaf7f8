"""What the server says when it is ready: the URLs, where the first secrets are, and a curl line to paste.

Place: `dlproxy_site.serve` calls `Announcement.poll` about twice a second until it returns True.
Rules: the first password and key are shown once, on the console only, never in the log. The curl line does not carry
the key: it reads it from first-run.json when it is run, so it works for as long as that file is kept; without the
file the line has placeholders.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlproxy_site.settings.environment import FIRST_RUN, SECRET_FILES

DEMO_MODELS = ("digits", "silero-vad")
# After this long without the demo models the URLs are printed all the same, with what is still missing.
PATIENCE_S = 90.0
_PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the two listeners are, and where their data is."""

    home: Path
    host: str
    port: int
    inference_port: int

    @property
    def reachable_host(self) -> str:
        """A host that a client on this machine can use (a wildcard address is none)."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"[{host}]" if ":" in host else host

    @property
    def dashboard_url(self) -> str:
        """The dashboard's URL."""
        return f"http://{self.reachable_host}:{self.port}/"

    @property
    def inference_url(self) -> str:
        """The inference port's URL."""
        return f"http://{self.reachable_host}:{self.inference_port}"


def status_of(host: str, port: int, path: str, api_key: str | None = None) -> int | None:
    """HTTP status of a GET, None when nothing answers."""
    connection = http.client.HTTPConnection(host.strip("[]"), port, timeout=_PROBE_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def read_first_run(home: Path) -> dict[str, Any] | None:
    """The first run's secrets and demo request; None when the file was deleted (as the page advises) or spoilt."""
    try:
        content = json.loads((home / FIRST_RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "demo_request" in content else None


def forget_torn(home: Path) -> None:
    """Delete what a killed writer left beside the files of secrets: nobody would think of secrets there.

    Called by the one server of `home`, before it writes any.
    """
    for name in SECRET_FILES:
        for left in home.glob(f".{name}.*"):
            left.unlink(missing_ok=True)


def keep_urls_true(address: Address) -> None:
    """Let first-run.json name the addresses of this start, which may not be those of the first one."""
    first_run = read_first_run(address.home)
    urls = {"dashboard_url": address.dashboard_url, "inference_url": address.inference_url}
    if first_run is None or urls.items() <= first_run.items():
        return
    path, aside = address.home / FIRST_RUN, address.home / f".{FIRST_RUN}.{os.getpid()}"
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({**first_run, **urls}, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError:  # a full disk: the old file is whole, and the console names the addresses
        aside.unlink(missing_ok=True)


def write_demo_request(home: Path, first_run: dict[str, Any]) -> Path:
    """Write the demo request as a file of its own, so that curl can send it as it is."""
    path = home / "demo-request.json"
    body = first_run["demo_request"]
    temporary = path.with_suffix(".tmp")
    temporary.write_text(body if isinstance(body, str) else json.dumps(body))
    temporary.replace(path)
    return path


def _demo_request_file(home: Path, first_run: dict[str, Any]) -> Path | None:
    try:
        return write_demo_request(home, first_run)
    except OSError:  # a full disk must not keep the server from serving
        return None


def curl_line(address: Address, first_run: dict[str, Any] | None) -> str:
    """A line to paste into a shell: the demo digit, or placeholders where first-run.json is gone."""
    path = None if first_run is None else _demo_request_file(address.home, first_run)
    if path is None:
        return (
            f"curl -s {address.inference_url}/v2/models/MODEL/infer "
            '-H "Authorization: Bearer KEY" -H "Content-Type: application/json" -d @REQUEST.json'
        )
    secrets = shlex.quote(str((address.home / FIRST_RUN).resolve()))
    request = shlex.quote("@" + str(path.resolve()))
    key = f'$(grep -o \'"api_key": *"[^"]*\' {secrets} | grep -o "dlp_.*")'
    return (
        f'curl -s {address.inference_url}/v2/models/digits/infer -H "Authorization: Bearer {key}" '
        f'-H "Content-Type: application/json" -d {request}'
    )


class Announcement:
    """Waits until everything serves, then says so once: to people through `show(line)`, to the log through `say`."""

    def __init__(self, address: Address, say: Callable[[str], None], show: Callable[[str], None]) -> None:
        self._address = address
        self._say = say
        self._show = show
        self._began_s = time.monotonic()
        self._last_words = ""

    def poll(self) -> bool:
        """True once the announcement was made."""
        first_run = read_first_run(self._address.home)
        missing = self._missing(first_run)
        web_up = not missing or missing[0].startswith("model")
        if missing and not (web_up and time.monotonic() - self._began_s > PATIENCE_S):
            words = f"waiting for {', '.join(missing)}"
            if words != self._last_words:
                self._last_words = words
                self._say(words)
            return False
        self._say(f"ready: dashboard {self._address.dashboard_url}, inference {self._address.inference_url}/v2")
        for line in self._lines(first_run, missing):
            self._show(line)
        if first_run is not None:
            self._show_secrets_once(first_run)
        return True

    def _show_secrets_once(self, first_run: dict[str, Any]) -> None:
        shown = self._address.home / "first-run.shown"
        if shown.exists():
            return
        self._show(f"  First password of {first_run.get('admin_user')}: {first_run.get('admin_password')}")
        self._show(f"  Demo API key: {first_run.get('api_key')}")
        self._show("  Shown this once; delete first-run.json when you have kept them.\n")
        with contextlib.suppress(OSError):  # shown again at the next start, then
            shown.touch(mode=0o600)

    def _missing(self, first_run: dict[str, Any] | None) -> list[str]:
        address, host = self._address, self._address.reachable_host
        if status_of(host, address.inference_port, "/v2/health/live") != 200:
            return ["the inference port"]
        if (status_of(host, address.port, "/login/") or 500) >= 400:
            return ["the dashboard"]
        # 200 once every wanted version answers or has failed.
        if status_of(host, address.inference_port, "/v2/health/ready") != 200:
            return ["models to load"]
        if first_run is None:
            return []
        key = first_run.get("api_key")
        statuses = {
            name: status_of(host, address.inference_port, f"/v2/models/{name}/ready", key) for name in DEMO_MODELS
        }
        # Deleted models (404) and a revoked key (401) are the operator's wish, a 503 is a model that has failed.
        return [f"model {name}" for name, status in statuses.items() if status == 503]

    def _lines(self, first_run: dict[str, Any] | None, missing: list[str]) -> list[str]:
        address = self._address
        lines = [
            "",
            f"  Dashboard   {address.dashboard_url}",
            f"  Inference   {address.inference_url}/v2",
        ]
        if first_run is not None:
            secrets = (address.home / FIRST_RUN).resolve()
            lines.append(
                f"  Log in as   {first_run.get('admin_user')}; its password and a demo API key are in {secrets}"
            )
        if missing:
            lines.append(f"  Not ready   {', '.join(missing)}: see the dashboard for the reason")
        label = "" if first_run is None else f" (the picture is a {first_run.get('demo_label')})"
        lines += [f"  Try it{label}:", "", f"    {curl_line(address, first_run)}", "", "  Ctrl-C stops everything.", ""]
        return lines
