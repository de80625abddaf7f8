"""The first steps of the line before the control plane has been read."""

from __future__ import annotations

import pytest

from proxy.cache.cache import ResultCache
from proxy.core.errors import NotReady, Unauthenticated
from proxy.core.snapshot import Snapshot
from proxy.core.units import NS_PER_S
from proxy.metrics.metrics import Metrics
from proxy.model_manager.model_manager import ModelManager
from proxy.pipeline import Pipeline
from proxy.protocol.limits import Limits
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import FakeGroup

KEY = b"Bearer dlp_" + b"a" * 43


@pytest.fixture
def pipeline() -> Pipeline:
    clock = ManualClock()
    scheduler = Scheduler(clock, clock.call_later)
    manager = ModelManager(scheduler, lambda version, policy: FakeGroup(version, clock, 1), clock)
    return Pipeline(clock, lambda: 0.0, manager, ResultCache(clock), scheduler, Metrics(), Limits())


def test_before_the_first_snapshot_a_key_is_not_called_unknown_but_asked_to_come_back(pipeline: Pipeline) -> None:
    with pytest.raises(NotReady) as refusal:
        pipeline.open("digits", None, KEY, 0)
    assert refusal.value.retry_after_ns == NS_PER_S


def test_after_the_first_snapshot_an_unknown_key_is_unauthenticated(pipeline: Pipeline) -> None:
    pipeline.snapshot = Snapshot(1, {}, {})
    with pytest.raises(Unauthenticated):
        pipeline.open("digits", None, KEY, 0)
