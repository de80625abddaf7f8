"""What is read of the data plane beside the line of inference: liveness, readiness, measurements. Nothing changes."""

from __future__ import annotations

from proxy.core.reports import SecondReport
from proxy.core.snapshot import EMPTY_SNAPSHOT, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.model_manager.routing import labelled


class Views:
    """The pipeline's read-only half. `snapshot`, `latest_report` and the next two are set by the runtime.

    `strict_readiness`: the server counts as ready only while every model does (docs/decisions/0030). `is_leaving`: it
    takes no new request any more.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics) -> None:
        self.snapshot: Snapshot = EMPTY_SNAPSHOT
        self.latest_report: SecondReport | None = None
        self.strict_readiness = self.is_leaving = False
        self._has_started = False
        self._manager = manager
        self._metrics = metrics

    def is_ready(self) -> bool:
        """True from the moment in which all that was wanted at the start answers, sleeps or has failed, to the end.

        A model that loads, or was given up, later takes nothing from the others: `model_ready` is about it. With strict
        readiness it is true only while every wanted version answers or sleeps.
        """
        if self.is_leaving or self.snapshot is EMPTY_SNAPSHOT:
            return False
        if self.strict_readiness:
            return self._manager.is_whole()
        self._has_started = self._has_started or self._manager.is_settled()
        return self._has_started

    def is_live(self) -> bool:
        """True while this process answers at all."""
        return True

    def model_ready(self, name: str, number: int | None) -> bool:
        """True if a request for it (None: the default version) would be taken now."""
        routes = self._manager.routes
        if name in routes.defaults if number is None else number in routes.ready.get(name, {}):
            return True
        return self._manager.would_wake(name, None if number is None else str(number))

    def ready_version(self, name: str, number: int) -> VersionSnapshot | None:
        """The version if requests may be sent to it now."""
        return self._manager.routes.ready.get(name, {}).get(number)

    def labelled(self, model: ModelSnapshot, label: str) -> int | None:
        """Number of the version that a label of the model means now, or None."""
        return labelled(self._manager.routes, model, label)

    def exposition(self) -> bytes:
        """Everything measured, as Prometheus text."""
        return self._metrics.exposition(self.latest_report)
