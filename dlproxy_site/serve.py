"""The server's entry: checks what would make it fail, then supervises web, Celery worker and beat.

Place: `manage.py serve` and script/server end here (`python -m dlproxy_site.serve`).
Rules: what is wrong is said in one line before anything is started: a port in use, another server on the same data
directory, a Redis that does not answer, a weak signing key, a database without its tables, static files that were
never built. The exit status says whether a later start may go better (docs/operations.md): EX_TEMPFAIL (75) where
something outside is not there now, EX_CONFIG (78) where a person must mend something first, so that a service manager
does not try without end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Callable
from logging import Formatter, LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from dlproxy_site.announce import Address, Announcement, forget_torn, keep_urls_true
from dlproxy_site.supervisor import ChildSpec, Supervisor

_LOG_BYTES = 10 * 1024 * 1024
_LOG_FILES = 5
_REDIS_TIMEOUT_S = 3.0


class CannotStart(Exception):
    """Nothing was started; the message is the one line to print, `status` what the process exits with.

    By default the reason may go by itself; EX_CONFIG: only the operator can mend it.
    """

    def __init__(self, message: str, status: int = os.EX_TEMPFAIL) -> None:
        super().__init__(message)
        self.status = status


def main() -> int:
    """Serve until a stop signal; the exit status says whether that went well."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
    try:
        from django.conf import settings

        address = Address(
            Path(settings.DLPROXY_HOME), settings.DLPROXY_HOST, settings.DLPROXY_PORT, settings.DLPROXY_INFERENCE_PORT
        )
        lock = take_home(address.home)
        check_ports(address)
        check_redis(settings.REDIS_URL)
        check_static_files(Path(settings.STATIC_ROOT))
        forget_torn(address.home)
        keep_urls_true(address)
    except ImproperlyConfigured as error:
        print(f"server: {error}", file=sys.stderr)
        return os.EX_CONFIG
    except CannotStart as error:
        print(f"server: {error}", file=sys.stderr)
        return error.status
    emit = make_emit(address.home / "logs" / "server.log", sys.stdout)
    announcement = Announcement(address, lambda line: emit("server", line), show_on_console)
    emit("server", f"starting; data in {address.home}")
    try:
        return Supervisor(children(settings.DLPROXY_HOME), emit, on_tick=announcement.poll).run()
    finally:
        lock.close()


def show_on_console(line: str) -> None:
    """What must not get into the log: secrets, once. A console that is gone misses it; first-run.json has it, too."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)


def children(home: Path) -> list[ChildSpec]:
    """The processes of one node."""
    celery = [sys.executable, "-m", "celery", "--app", "dlproxy_site.celery:app", "--quiet"]
    environment = {"PYTHONUNBUFFERED": "1"}
    # Django's checks import every page and route, for which neither has any use, into time and memory of both.
    # script/test runs the checks.
    of_celery = {**environment, "CELERY_SKIP_CHECKS": "1"}
    return [
        ChildSpec(
            "web",
            [sys.executable, "-m", "dlproxy_site.web"],
            environment,
            required_at_start=True,
        ),
        ChildSpec(
            "worker",
            [
                *celery,
                "worker",
                "--loglevel",
                "INFO",
                "--without-mingle",
                "--without-gossip",
                "--without-heartbeat",
                "--pool",
                "threads",
            ],
            of_celery,
        ),
        ChildSpec(
            "beat",
            [
                *celery,
                "beat",
                "--loglevel",
                "WARNING",
                "--pidfile",
                "",
                "--schedule",
                str(home / "celery" / "beat-schedule"),
            ],
            of_celery,
        ),
    ]


def take_home(home: Path) -> IO[str]:
    """Hold `home` for this server alone; the returned file is the lock (released when the process ends)."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "server.lock").open("a")
    except OSError as error:
        raise CannotStart(f"cannot write to DLPROXY_HOME={home}: {error.strerror}", os.EX_CONFIG) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CannotStart(f"another server runs on DLPROXY_HOME={home}; stop it, or choose another directory") from None
    return lock


def check_ports(address: Address) -> None:
    """Raise CannotStart unless both ports can be bound."""
    if address.port == address.inference_port:
        words = f"DLPROXY_PORT and DLPROXY_INFERENCE_PORT are both {address.port}; choose two ports"
        raise CannotStart(words, os.EX_CONFIG)
    for variable, port in (("DLPROXY_PORT", address.port), ("DLPROXY_INFERENCE_PORT", address.inference_port)):
        if port == 0:
            raise CannotStart(f"{variable}=0: choose a port, so that clients can find it", os.EX_CONFIG)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address.host, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise CannotStart(f"port {port} is in use; set {variable} to a free one") from None
                raise CannotStart(f"cannot listen on {address.host} port {port}: {error.strerror or error}") from None


def check_redis(url: str) -> None:
    """Raise CannotStart when REDIS_URL is set and nothing listens there."""
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise CannotStart("REDIS_URL: use redis://host:port/number", os.EX_CONFIG)
    try:
        socket.create_connection((parts.hostname, parts.port or 6379), timeout=_REDIS_TIMEOUT_S).close()
    except OSError as error:
        where = f"{parts.hostname}:{parts.port or 6379}"
        raise CannotStart(f"Redis at {where} does not answer ({error.strerror or error}); see REDIS_URL") from None


def check_static_files(folder: Path) -> None:
    """Raise CannotStart where they were never built: no page could be shown, and each would be a fault."""
    if not (folder / "staticfiles.json").is_file():
        words = "the static files are not built; start with script/server, or run manage.py prepare first"
        raise CannotStart(words, os.EX_CONFIG)


class LogFile(RotatingFileHandler):
    """The server's log. A line that cannot be written is dropped, without words about it: they would be lines, too."""

    def handleError(self, record: LogRecord) -> None:  # noqa: N802  the base class's name
        """Let go of the file with what could not be written; the next line opens it again."""
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()


def make_emit(path: Path, console: IO[str]) -> Callable[[str, str], None]:
    """Return `emit(name, line)`: one line with the process name to the console and, with the time, to `path`.

    The file is rotated at 10 MiB, five old ones are kept. A console that is gone (closed terminal) is given up; a disk
    that is full costs the lines that did not fit (F16).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = LogFile(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
    handler.setFormatter(Formatter("%(message)s"))
    open_console = True

    def emit(name: str, line: str) -> None:
        nonlocal open_console
        text = f"{name:<6} | {line}"
        if open_console:
            try:
                print(text, file=console, flush=True)
            except (OSError, ValueError):
                open_console = False
        if line.strip():
            at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            handler.emit(LogRecord("server", 20, "", 0, f"{at} {text}", None, None))

    return emit


if __name__ == "__main__":
    sys.exit(main())
