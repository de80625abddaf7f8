"""The static files as they are served: made anew when something that they are made of has changed.

Rules: whether that is so is told by names, sizes and times of the sources (about a hundred), not by reading them; the
mark is written last, and without it everything is made anew; several starts in one checkout wait for each other.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

MARK = ".made-of"
MANIFEST = "staticfiles.json"
MAKERS = ("django", "whitenoise")
"""Packages whose version decides how a file is named and compressed."""


def build() -> bool:
    """Make the static files unless they are there already; whether they were made. Raises OSError."""
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    with checkout_held():
        wanted = made_of()
        if wanted == _mark(root) and _is_whole(root):
            return False
        # A copy or a compressed file that was broken off half-way looks like one that is there already, so nothing of
        # that build is kept. Another server that runs from this checkout may miss files for as long as this takes.
        was_broken_off = not (root / MARK).exists()
        (root / MARK).unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, verbosity=0, skip_checks=True, clear=was_broken_off)
        (root / MARK).write_text(wanted, encoding="ascii")
    return True


def made_of() -> str:
    """A digest over what the static files are made of."""
    digest = hashlib.sha256()
    for name in MAKERS:
        digest.update(f"{name} {version(name)}\n".encode())
    digest.update(_storage_code())
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: found[0]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@contextmanager
def checkout_held() -> Iterator[None]:
    """The lock on the checkout that script/server holds, too, while it installs packages and assets."""
    folder = os.open(settings.BASE_DIR, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _storage_code() -> bytes:
    return (Path(settings.BASE_DIR) / "models_admin/dashboard/static_files.py").read_bytes()


def _mark(root: Path) -> str:
    try:
        return (root / MARK).read_text(encoding="ascii")
    except (FileNotFoundError, ValueError):
        return ""


def _is_whole(root: Path) -> bool:
    """Whether each file that pages may name is there."""
    try:
        named = json.loads((root / MANIFEST).read_text(encoding="utf-8"))["paths"]
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return all((root / name).is_file() for name in named.values())
