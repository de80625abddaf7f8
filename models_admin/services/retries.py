"""Starting a version's instances anew on an operator's word, such as after what ended them was mended."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from models_admin.models import ModelVersion
from models_admin.models.registry import VersionState
from models_admin.services import versions, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict


@transaction.atomic
def try_again(*, actor: Actor, version: ModelVersion, expected_revision: int | None = None) -> ModelVersion:
    """End a quarantine: the artifact is verified and instances are started anew; those that answer stay until then.

    Conflict for a version that is not ready, since nothing of it is wanted loaded.
    """
    row = versions.lock_version(version, expected_revision)
    if row.state != VersionState.READY:
        raise Conflict(
            _("%(row)s is %(state)s; only a ready version has instances.")
            % {"row": row, "state": row.get_state_display().lower()},
            code="state",
        )
    ModelVersion.objects.filter(pk=row.pk).update(load_attempt=F("load_attempt") + 1, quarantined_reason="")
    writing.audit(actor, "version.try_again", "version", str(row), reason=row.quarantined_reason[:500])
    writing.publish()
    row.refresh_from_db(fields=["load_attempt", "quarantined_reason"])
    return row
