"""Which version answers a request. Pure look-up in a table that the model manager rebuilds at each change.

Place: third step of the line, before the body is read, since the cache key contains the version's digest.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from proxy.core.errors import NotFound, NotReady, Reason
from proxy.core.snapshot import ModelSnapshot, VersionSnapshot
from proxy.core.units import NS_PER_S

# Long enough for a small model to load, short enough that a client does not give up on a larger one.
RETRY_WHILE_LOADING_NS = 2 * NS_PER_S
_VERSION_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """`ready` maps a model to its answering versions, `defaults` to the one that answers when none is named."""

    ready: Mapping[str, Mapping[int, VersionSnapshot]]
    defaults: Mapping[str, int]

    def answers(self, version: VersionSnapshot) -> bool:
        """True while requests may be sent to `version`."""
        return version.number in self.ready.get(version.model, {})


EMPTY_ROUTES = RoutingTable(MappingProxyType({}), MappingProxyType({}))


def choose_version(
    routes: RoutingTable, models: Mapping[str, ModelSnapshot], model: str, version: str | None
) -> VersionSnapshot:
    """Version that answers `model`, or the one named.

    Raises:
        NotFound: no such model, or the model has no such loaded version.
        NotReady: it is wanted but no instance of it answers yet.
    """
    known = models.get(model)
    if known is None:
        raise NotFound(Reason.UNKNOWN_MODEL, f"There is no model named '{shown(model)}'.")
    if version is None:
        default = routes.defaults.get(model)
        if default is not None:
            return routes.ready[model][default]
        raise _not_serving(known)
    number = int(version) if _VERSION_NUMBER.fullmatch(version) else 0
    found = routes.ready.get(model, {}).get(number)
    if found is not None:
        return found
    if number in known.versions:
        raise NotReady(Reason.NOT_READY, f"Version {number} of '{model}' is not ready yet.", RETRY_WHILE_LOADING_NS)
    raise NotFound(Reason.UNKNOWN_VERSION, f"Model '{model}' has no loaded version '{shown(version)}'.")


def shown(text: str) -> str:
    """Client text for a message: shortened and printable, so that logs and pages stay one line."""
    clean = "".join(c if c.isprintable() else "�" for c in text[:64])
    return clean + "…" if len(text) > len(clean) else clean


def _not_serving(model: ModelSnapshot) -> NotReady:
    if not model.versions:
        return NotReady(
            Reason.NOT_READY,
            f"Model '{model.name}' is not loaded: load it, or upload and promote a version.",
            RETRY_WHILE_LOADING_NS,
        )
    return NotReady(Reason.NOT_READY, f"Model '{model.name}' is loading.", RETRY_WHILE_LOADING_NS)
