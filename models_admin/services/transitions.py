"""The states of a version and which may follow which: the one table that every change of state goes through."""

from __future__ import annotations

from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import ModelVersion
from models_admin.models.registry import VersionState
from models_admin.services.errors import Conflict
from proxy.core.words import Words

LEGAL: dict[VersionState, frozenset[VersionState]] = {
    VersionState.UPLOADED: frozenset({VersionState.VALIDATING, VersionState.FAILED}),
    VersionState.VALIDATING: frozenset({VersionState.READY, VersionState.FAILED}),
    VersionState.READY: frozenset({VersionState.ARCHIVED, VersionState.UPLOADED}),
    VersionState.FAILED: frozenset({VersionState.UPLOADED}),
    VersionState.ARCHIVED: frozenset({VersionState.READY}),
}
"""`uploaded` is also where a version returns to when it is validated anew."""


def move(version: ModelVersion, state: VersionState, reason: str = "") -> None:
    """Set the version's next state, with the parts of `reason` if it is `Words`. The caller saves the row.

    Raises Conflict if the table does not allow it.
    """
    current = VersionState(version.state)
    if state not in LEGAL[current]:
        raise Conflict(
            _("%(version)s is %(state)s; it cannot become %(state2)s.")
            % {"version": version, "state": current.label.lower(), "state2": state.label.lower()},
            code="state",
        )
    version.state = state
    version.state_reason = str(reason)
    version.state_said = reason.parts if isinstance(reason, Words) else None
    version.state_changed_at = timezone.now()
    version.revision += 1
