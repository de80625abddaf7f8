"""What is read of the data plane beside the line of inference: liveness, readiness, measurements. Nothing changes."""

from __future__ import annotations

from proxy.core.reports import SecondReport
from proxy.core.snapshot import EMPTY_SNAPSHOT, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.model_manager.routing import labelled


class Views:
    """The pipeline's read-only half. `snapshot` and `latest_report` are set by the runtime."""

    def __init__(self, manager: ModelManager, metrics: Metrics) -> None:
        self.snapshot: Snapshot = EMPTY_SNAPSHOT
        self.latest_report: SecondReport | None = None
        self._manager = manager
        self._metrics = metrics

    def is_ready(self) -> bool:
        """True once the wanted state was read and every version in it answers or has failed."""
        return self.snapshot is not EMPTY_SNAPSHOT and self._manager.is_settled()

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
