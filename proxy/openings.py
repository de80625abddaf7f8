"""Heads that were let in before: who called, and which version was chosen, while nothing that it follows from changes.

A keep-alive client sends the same head again and again; to find all of it out anew takes eight calls. Pure.
Rules: remembered for one snapshot and one routing table, both by identity, so that a revoked key, a moved default or a
rollout ends it at once; never of a key that expires or has a rate, of a model in a rollout (each request is drawn) or
of a version that does not answer; good heads only, so that a stranger cannot fill it.
"""

from __future__ import annotations

from proxy.core.principals import Principal
from proxy.core.snapshot import EMPTY_SNAPSHOT, Snapshot, VersionSnapshot
from proxy.model_manager.routing import EMPTY_ROUTES, RoutingTable

# Larger: more callers and models are remembered at one time, about 300 bytes each.
MAX_OPENINGS = 1_024

Asked = tuple[str, str | None, bytes | None]  # model, version, credential


class Openings:
    """What was asked → (who called, the version that answers)."""

    __slots__ = ("_known", "_routes", "_snapshot")

    def __init__(self) -> None:
        self._snapshot: Snapshot = EMPTY_SNAPSHOT
        self._routes: RoutingTable = EMPTY_ROUTES
        self._known: dict[Asked, tuple[Principal, VersionSnapshot]] = {}

    def find(self, asked: Asked, snapshot: Snapshot, routes: RoutingTable) -> tuple[Principal, VersionSnapshot] | None:
        """What holds for `asked` under this snapshot and table, if it is remembered; all else is forgotten."""
        if snapshot is self._snapshot and routes is self._routes:
            return self._known.get(asked)
        self._snapshot, self._routes, self._known = snapshot, routes, {}
        return None

    def keep(self, asked: Asked, principal: Principal, version: VersionSnapshot) -> None:
        """Remember what was found out after `find` had said None, if it holds for the next one, too."""
        model = self._snapshot.models.get(version.model)
        if model is None or model.rollout is not None or principal.requests_per_s or not self._routes.answers(version):
            return
        if len(self._known) >= MAX_OPENINGS:
            self._known.clear()
        self._known[asked] = (principal, version)
