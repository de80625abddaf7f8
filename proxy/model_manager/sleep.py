"""Who sleeps and who was woken: what a request's arrival changes of the wanted state until the control plane knows.

Rules: a model that a request woke stays awake until a snapshot wants an instance of it, so that no news that was on its
way puts it back to sleep; a version that left for its memory stays asleep until a request asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxy.core.snapshot import ModelSnapshot
from proxy.model_manager.lifecycle import LoadState
from proxy.model_manager.loaded import Loaded


class Sleep:
    """`awake`: models to be reported as woken. `evicted`: version keys, and the words why."""

    def __init__(self) -> None:
        self.awake: set[str] = set()
        self.evicted: dict[str, str] = {}

    def follow(self, models: Mapping[str, ModelSnapshot]) -> None:
        """Forget what a new wanted state has caught up with, and models and versions that are gone."""
        self.awake = {
            name
            for name in self.awake
            if name in models and models[name].default_version is not None and not models[name].wanted_instances
        }
        keys = {version.key for model in models.values() for version in model.versions.values()}
        self.evicted = {key: words for key, words in self.evicted.items() if key in keys}

    def may_wake(self, model: ModelSnapshot, one: Loaded) -> bool:
        """True if a request that asks for `one` is a reason to start it."""
        is_default = one.version.number == model.default_version
        sleeps_by_policy = is_default and model.policy.scaling.zero_after_ns > 0
        return one.state is LoadState.ASLEEP and (sleeps_by_policy or one.version.key in self.evicted)

    def wake(self, model: ModelSnapshot, one: Loaded) -> bool:
        """Note that a request asks for `one`; False if that is no reason to start it."""
        if not self.may_wake(model, one):
            return False
        self.evicted.pop(one.version.key, None)
        if one.version.number == model.default_version and not model.wanted_instances:
            self.awake.add(model.name)
        return True

    def keep_awake(self, model: ModelSnapshot | None, one: Loaded) -> None:
        """It was to sleep while something of it still waits or runs: as good as a request that wakes it."""
        if model is not None and one.version.number == model.default_version:
            self.awake.add(model.name)


def wake_limits_ns(loaded: Iterable[Loaded], models: Mapping[str, ModelSnapshot]) -> dict[str, int]:
    """How long a request may wait for each version that is waking, by version key."""
    return {
        one.version.key: models[one.version.model].policy.scaling.wake_timeout_ns
        for one in loaded
        if one.is_waking and one.version.model in models
    }
