"""Heartbeats of the parts of the system. Not audited: nothing is decided by them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from models_admin.models import NodeStatus


def heartbeat(*, name: str, info: dict[str, Any], at: datetime) -> None:
    """Note that part `name` lives, with what it says of itself."""
    NodeStatus.objects.update_or_create(name=name, defaults={"at": at, "info": info})
