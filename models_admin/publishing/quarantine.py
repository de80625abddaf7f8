"""Versions whose instances the data plane gave up → the reason on their rows, so that pages show it after a restart.

Rules: written when a version enters quarantine or its words change, taken away when an instance of it answers again;
a second without news costs one read of the rows in quarantine.
"""

from __future__ import annotations

from collections.abc import Iterable

from models_admin.models import ModelVersion
from proxy.core.reports import VersionReport

GIVEN_UP, READY = ("failed", "quarantined"), "ready"
"""States of proxy.model_manager.lifecycle that matter here; a report carries their values."""
MAX_CHARACTERS = 2_000


def note_quarantines(versions: Iterable[VersionReport]) -> None:
    """Bring the rows' reasons in line with what the data plane says of its versions now. Part of a transaction."""
    states = {(version.model, version.version): version for version in versions}
    known = {
        (row.model.name, row.number): row
        for row in ModelVersion.objects.exclude(quarantined_reason="").select_related("model")
    }
    for key, version in states.items():
        if version.state in GIVEN_UP:
            words = version.message[:MAX_CHARACTERS] or "Its instances could not be started."
            if key not in known or known[key].quarantined_reason != words:
                _set(key, words)
        elif version.state == READY and key in known:
            _set(key, "")


def _set(key: tuple[str, int], words: str) -> None:
    model, number = key
    ModelVersion.objects.filter(model__name=model, number=number).update(quarantined_reason=words)
