"""The first start: the first admin, the demo key, and `first-run.json` that tells the owner both (mode 0600).

Rules: passwords and keys are made here at random, never defaulted; the file is on disk before the accounts are
committed, so no crash leaves an account whose password nobody knows; a second run changes nothing.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction

from models_admin.models import ApiKey
from models_admin.models.access import KeyScope
from models_admin.services import keys, writing
from models_admin.services.actors import system_actor

ADMIN_NAME = "admin"
DEMO_KEY_NAME = "demo"
FILE_NAME = "first-run.json"
ACTOR = system_actor("bootstrap")
ANY_ADDRESS = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104  compared, not bound


def is_done() -> bool:
    """True once accounts exist, whether or not the file is still there."""
    return get_user_model().objects.exists() or ApiKey.objects.filter(name=DEMO_KEY_NAME).exists()


@transaction.atomic
def create_accounts(demo_request: dict[str, Any], demo_label: int) -> Path:
    """Create the admin and the demo key, and write the file; its path."""
    password = secrets.token_urlsafe(18)
    get_user_model().objects.create_superuser(ADMIN_NAME, password=password)
    writing.audit(ACTOR, "user.create", "user", ADMIN_NAME, superuser=True)
    _, secret = keys.create_key(actor=ACTOR, name=DEMO_KEY_NAME, scope=KeyScope.INFERENCE)
    path = Path(settings.DLPROXY_HOME) / FILE_NAME
    write_private(
        path,
        {
            "dashboard_url": f"http://{_shown_host()}:{settings.DLPROXY_PORT}/",
            "inference_url": f"http://{_shown_host()}:{settings.DLPROXY_INFERENCE_PORT}",
            "admin_user": ADMIN_NAME,
            "admin_password": password,
            "api_key": secret,
            "demo_request": demo_request,
            "demo_label": demo_label,
        },
    )
    return path


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write `content` so that only the owner reads it, whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except BaseException:  # a full disk, Ctrl-C: what was written of the secrets goes at once
        aside.unlink()
        raise


def _shown_host() -> str:
    host = settings.DLPROXY_HOST
    if host in ANY_ADDRESS:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
