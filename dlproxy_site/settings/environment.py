"""Reading the process environment: typed look-ups, the secret key file, database and broker addresses.

Rules: a wrong value stops the process with the variable's name and what is accepted; nothing secret has a default.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"", "0", "false", "no", "off"})
MIN_SECRET_CHARACTERS = 50  # Django's own floor (security.W009)
DATABASE_FILE = "dlproxy.sqlite3"
KEY_FILE = "secret-key"
FIRST_RUN = "first-run.json"
SECRET_FILES = (KEY_FILE, FIRST_RUN)
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]", "::1")


def flag(name: str, *, default: bool = False) -> bool:
    """The boolean in variable `name`."""
    raw = os.environ.get(name)
    if raw is None:
        return default
    word = raw.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r}: use 1 or 0.")


def whole_number(name: str, default: int, low: int, high: int) -> int:
    """The integer in variable `name`, within `low` to `high`."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name}={raw!r}: use a whole number.") from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={value}: use {low} to {high}.")
    return value


def redis_address(name: str) -> str:
    """The address of a Redis in variable `name`, or nothing."""
    raw = os.environ.get(name, "").strip()
    if raw:
        from redis.connection import parse_url  # loaded only where there is one

        try:
            parse_url(raw)
        except ValueError:  # says the address, which may hold a password
            raise ImproperlyConfigured(f"{name}: use redis://host:port/number, rediss://… or unix://….") from None
    return raw


def words(name: str) -> list[str]:
    """The comma-separated words in variable `name`."""
    return [word.strip() for word in os.environ.get(name, "").split(",") if word.strip()]


def secret_key(home: Path) -> str:
    """The signing key: DLPROXY_SECRET_KEY, else the one made once in `home`/secret-key (mode 0600).

    Several web nodes must share a key, hence the variable. An empty or short key is refused.
    """
    given = os.environ.get("DLPROXY_SECRET_KEY")
    key = _kept_key(home / KEY_FILE) if given is None else given.strip()
    if len(key) < MIN_SECRET_CHARACTERS or len(set(key)) < 5:
        where = "DLPROXY_SECRET_KEY" if given is not None else "the secret-key file in DLPROXY_HOME"
        raise ImproperlyConfigured(
            f"The signing key in {where} is empty or too weak: use at least {MIN_SECRET_CHARACTERS} random characters."
        )
    return key


def _kept_key(path: Path) -> str:
    try:
        if not path.exists():
            _make_key(path)
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:  # a full disk, another user's file
        raise ImproperlyConfigured(f"The signing key in {path} cannot be made or read: {error.strerror}.") from None


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(64).encode())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # never replaces a key made by another process
    finally:
        fresh.unlink()


def make_home(home: Path) -> None:
    """Make the data directory, for its owner alone (it holds password hashes and keys), and the folders in it."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (home / "artifacts" / "incoming", home / "celery"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in SECRET_FILES:
            _make_private(home / name)
    except OSError as error:
        raise ImproperlyConfigured(f"DLPROXY_HOME={home} cannot be used: {error.strerror}.") from None


def _make_private(path: Path) -> None:
    """Let only its owner read `path`, if it is there: a folder that was there before may be open to everybody."""
    with contextlib.suppress(FileNotFoundError, PermissionError):  # another user's file is that one's to close
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _private_database(path: Path) -> str:
    """The name of SQLite's file, which SQLite itself would make for everybody to read; so it holds -wal and -shm."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise ImproperlyConfigured(f"The database {path} cannot be made or read: {error.strerror}.") from None
    for ending in ("", "-wal", "-shm"):
        _make_private(path.with_name(path.name + ending))
    return str(path)


def database(home: Path, url: str) -> dict[str, Any]:
    """Django's database settings: `url`, or SQLite in `home`.

    SQLite runs in WAL mode so that pages read while the second's report is written; IMMEDIATE transactions wait for
    the write lock at their start instead of failing in the middle with a stale snapshot.
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _private_database(home / DATABASE_FILE),
            "OPTIONS": dict(SQLITE_OPTIONS),
        }
    accepted = "DATABASE_URL: use postgres://user:password@host:port/name or sqlite:///…"
    try:
        settings: dict[str, Any] = dict(dj_database_url.parse(url))
    except ValueError:  # says parts of the address, which may be the password's
        raise ImproperlyConfigured(f"{accepted}; what is special in a password is written as %2F and so on.") from None
    options = settings.setdefault("OPTIONS", {})
    if settings["ENGINE"] == "django.db.backends.sqlite3":
        options.update(SQLITE_OPTIONS)
        if settings["NAME"] != ":memory:":
            settings["NAME"] = _private_database(Path(settings["NAME"]))
    elif settings["ENGINE"] == "django.db.backends.postgresql":
        options.setdefault("connect_timeout", 5)
        # A slow database may hold a page, never the process: statements end after 15 s.
        options.setdefault("options", "-c statement_timeout=15000 -c lock_timeout=10000")
        settings["CONN_HEALTH_CHECKS"] = True
    else:
        raise ImproperlyConfigured(f"{accepted}.")
    return settings


SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
        "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16000;"
    ),
}


def broker(home: Path, redis_url: str) -> dict[str, Any]:
    """Celery's broker: Redis, or a folder of messages in `home` (docs/decisions/0011-embedded-broker.md)."""
    if redis_url:
        return {"url": redis_url, "options": {"visibility_timeout": 3_600}}
    queue, control = home / "celery" / "messages", home / "celery" / "control"
    for folder in (queue, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "url": "embedded://localhost",
        "options": {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "polling_interval": 0.5,
        },
    }
