"""Dropping cached answers: a change of the running data plane alone, yet one that the audit log names."""

from __future__ import annotations

from django.db import transaction

from models_admin.models import Model
from models_admin.services import writing
from models_admin.services.actors import Actor
from proxy import gateway
from proxy.core.errors import NotReady, Reason


@transaction.atomic
def purge_cache(*, actor: Actor, model: Model) -> None:
    """Forget every cached answer of `model` in this process. Raises NotReady where no data plane runs in it."""
    runtime = gateway.current()
    if runtime is None:
        raise NotReady(Reason.NOT_READY, "No data plane runs in this process, so there is no cache to empty.")
    writing.audit(actor, "model.purge_cache", "model", model.name)
    transaction.on_commit(lambda: runtime.purge_cache(model.name))
