"""Dropping cached answers: a change of the running data plane alone, yet one that the audit log names."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.models import Model, ModelVersion
from models_admin.services import writing
from models_admin.services.actors import Actor
from proxy import gateway
from proxy.core.errors import NotReady, Reason


@transaction.atomic
def purge_cache(*, actor: Actor, model: Model | None, version: ModelVersion | None = None) -> None:
    """Forget the cached answers of `model` (None: of every model) in this process, or those of one version of it.

    Answers belong to a version's artifact: another version with the same one loses them, too. Executions that are
    under way are kept when they end. Raises NotReady where no data plane runs in this process.
    """
    runtime = gateway.current()
    if runtime is None:
        raise NotReady(Reason.NOT_READY, _("No data plane runs in this process, so there is no cache to empty."))
    if model is None:
        writing.audit(actor, "cache.purge", "cache", "all")
        transaction.on_commit(runtime.purge_cache)
        return
    details = {} if version is None else {"version": version.number}
    writing.audit(actor, "model.purge_cache", "model", model.name, **details)
    digest = None if version is None else version.digest
    transaction.on_commit(partial(runtime.purge_cache, model.name, digest))
