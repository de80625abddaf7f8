"""What is loaded → the routing table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxy.core.snapshot import ModelSnapshot, VersionSnapshot
from proxy.model_manager.loaded import Loaded, is_complete
from proxy.model_manager.routing import RoutingTable
from proxy.model_manager.version_policy import default_route


def routing_table(
    loaded: Iterable[Loaded], models: Mapping[str, ModelSnapshot], serving: Mapping[str, int]
) -> RoutingTable:
    """Versions with a lane may be asked, those that wake included; `serving` answered by default until now."""
    ready: dict[str, dict[int, VersionSnapshot]] = {}
    complete: dict[str, set[int]] = {}
    for one in loaded:
        if one.has_lane and not one.is_leaving:
            ready.setdefault(one.version.model, {})[one.version.number] = one.version
            if one.group is not None and is_complete(one.group, one.instances):
                complete.setdefault(one.version.model, set()).add(one.version.number)
    defaults: dict[str, int] = {}
    for name, model in models.items():
        chosen = default_route(
            model, serving.get(name), frozenset(ready.get(name, ())), frozenset(complete.get(name, ()))
        )
        if chosen is not None:
            defaults[name] = chosen
    return RoutingTable(ready, defaults)
