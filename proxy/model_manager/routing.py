"""Which version answers a request. Pure look-up in a table that the model manager rebuilds at each change.

    named by number or label   that version, whatever rollout runs
    none named, canary         the candidate if u < weight / 100, else the default
                               u = BLAKE2b-64(rollout, sticky key) / 2^64 with a sticky key, else a draw from [0, 1)

Place: third step of the line, before the body is read, since the cache key contains the version's digest.
Rules: a request that names a version or label is never sent to another one; a candidate that does not answer gets no
traffic; one sticky key meets one version within a rollout, and as the weight rises whoever met the candidate stays on
it (u is compared with the weight alone). Held by tests/property/test_routing_properties.py.
Source: the canary weights of KServe (canaryTrafficPercent) and Envoy (weighted clusters with a hash policy).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType

from proxy.core.errors import NotFound, NotReady, Reason
from proxy.core.snapshot import ModelSnapshot, RolloutMode, RolloutSnapshot, VersionSnapshot
from proxy.core.units import NS_PER_S

# Long enough for a small model to load, short enough that a client does not give up on a larger one.
RETRY_WHILE_LOADING_NS = 2 * NS_PER_S
# Labels that mean something before anyone has set them.
STABLE = "stable"
CANARY = "canary"
_VERSION_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """`ready` maps a model to its answering versions, `defaults` to the one that answers when none is named."""

    ready: Mapping[str, Mapping[int, VersionSnapshot]]
    defaults: Mapping[str, int]

    def answers(self, version: VersionSnapshot) -> bool:
        """True while requests may be sent to `version`: to this artifact, not to another one under its number.

        A model that was deleted and made anew begins at 1 again, perhaps with other inputs.
        """
        found = self.ready.get(version.model, {}).get(version.number)
        return found is not None and found.digest == version.digest


EMPTY_ROUTES = RoutingTable(MappingProxyType({}), MappingProxyType({}))


def choose_version(
    routes: RoutingTable,
    models: Mapping[str, ModelSnapshot],
    model: str,
    version: str | None,
    sticky: bytes | None = None,
    draw: float = 1.0,
) -> VersionSnapshot:
    """Version that answers `model`, or the one named by number or label.

    While a canary runs, `sticky` (the client's key for staying on one version) or else `draw`, from [0, 1), says who of
    the default and the candidate answers; the default of 1 never meets the candidate.

    Raises:
        NotFound: no such model, or the model has no such loaded version.
        NotReady: it is wanted but no instance of it answers yet.
    """
    known = models.get(model)
    if known is None:
        raise NotFound(Reason.UNKNOWN_MODEL, f"There is no model named '{shown(model)}'.")
    if version is not None:
        return _named(routes, known, version)
    default = routes.defaults.get(model)
    if default is None:
        raise _not_serving(known)
    ready = routes.ready[model]
    rollout = known.rollout
    if rollout is not None and rollout.mode is RolloutMode.CANARY and is_for_candidate(rollout, sticky, draw):
        return ready.get(rollout.candidate) or ready[default]
    return ready[default]


def is_for_candidate(rollout: RolloutSnapshot, sticky: bytes | None, draw: float) -> bool:
    """True if a request with this sticky key (None: this draw) falls into the candidate's share."""
    if sticky is not None:
        rollout_bytes = rollout.rollout_id.to_bytes(8, "big")
        draw = int.from_bytes(blake2b(sticky, digest_size=8, key=rollout_bytes).digest(), "big") / 2**64
    return draw * 100 < rollout.weight_percent


def labelled(routes: RoutingTable, model: ModelSnapshot, label: str) -> int | None:
    """Number of the version that `label` means now, or None.

    Where nobody has set them, `stable` is the default version and `canary` the candidate of the rollout that runs.
    """
    number = model.labels.get(label)
    if number is None and label == STABLE:
        return routes.defaults.get(model.name, model.default_version)
    if number is None and label == CANARY and model.rollout is not None:
        return model.rollout.candidate
    return number


def numbered(routes: RoutingTable, model: ModelSnapshot, version: str | None) -> int:
    """The number that a request names by number or label, or the default's; 0 where there is none."""
    if version is None:
        return model.default_version or 0
    return int(version) if _VERSION_NUMBER.fullmatch(version) else labelled(routes, model, version) or 0


def _named(routes: RoutingTable, model: ModelSnapshot, version: str) -> VersionSnapshot:
    number = numbered(routes, model, version)
    found = routes.ready.get(model.name, {}).get(number)
    if found is not None:
        return found
    if number in model.versions:
        raise NotReady(
            Reason.NOT_READY, f"Version {number} of '{model.name}' is not ready yet.", RETRY_WHILE_LOADING_NS
        )
    raise NotFound(Reason.UNKNOWN_VERSION, f"Model '{model.name}' has no loaded version '{shown(version)}'.")


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
    message = f"Model '{model.name}' does not answer: it is loading, or its instances do not start."
    return NotReady(Reason.NOT_READY, message, RETRY_WHILE_LOADING_NS)
