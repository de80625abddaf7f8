"""Artifacts are read from disk here once before each load, to compare them with their digest (F19)."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

# What says that the machine has nothing to give now, and nothing of the file (F37, F40).
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN})


class ArtifactDamaged(Exception):
    """The bytes on disk are not those that were uploaded; loading them is refused. Upload the version again."""


def verify(path: str, digest: str) -> None:
    """Compare the SHA-256 of the file at `path` with `digest` (hex). Blocking: call it in a thread.

    Raises:
        ArtifactDamaged: the file is missing, unreadable or differs.
        OSError: there are no descriptors or no memory to read it with; it may be read later.
    """
    try:
        with Path(path).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        raise ArtifactDamaged(f"The stored artifact cannot be read ({error.strerror}).") from error
    if actual != digest:
        raise ArtifactDamaged(
            f"The stored artifact differs from what was uploaded (SHA-256 {actual[:12]}… instead of {digest[:12]}…)."
        )
