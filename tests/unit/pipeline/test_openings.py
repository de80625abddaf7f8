"""A head that was let in before is let in again without finding it all out, and never longer than it holds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from proxy.cache.cache import ResultCache
from proxy.core.errors import NotFound, NotReady, QuotaExceeded, Unauthenticated
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, RolloutMode, RolloutSnapshot, Snapshot
from proxy.metrics.metrics import Metrics
from proxy.model_manager.routing import EMPTY_ROUTES, RoutingTable
from proxy.openings import MAX_OPENINGS, Openings
from proxy.pipeline import Pipeline
from proxy.protocol.limits import Limits
from proxy.scheduler.scheduler import Scheduler
from proxy.testing.clock import ManualClock
from proxy.testing.instances import fake_version

SECRET = "dlp_" + "a" * 43
CREDENTIAL = f"Bearer {SECRET}".encode()
ONE, TWO = fake_version("echo", 1), fake_version("echo", 2)
KEY = KeySnapshot("1", "test", hashlib.sha256(SECRET.encode()).hexdigest())


class Line:
    """A pipeline in front of one model with two answering versions, the first its default."""

    def __init__(self, key: KeySnapshot = KEY) -> None:
        clock = ManualClock()
        self.unix_time_s = 0.0
        self.routes = RoutingTable({"echo": {1: ONE, 2: TWO}}, {"echo": 1})
        self.manager = SimpleNamespace(routes=self.routes, waking={}, wake=lambda *_: None)
        self.pipeline = Pipeline(
            clock,
            lambda: self.unix_time_s,
            self.manager,  # type: ignore[arg-type]
            ResultCache(clock),
            Scheduler(clock, clock.call_later),
            Metrics(),
            Limits(),
        )
        self.model = ModelSnapshot("echo", {1: ONE, 2: TWO}, 1, 1)
        self.pipeline.snapshot = Snapshot(1, {"echo": self.model}, {key.digest_hex: key})

    def open(self, version: str | None = None, credential: bytes | None = CREDENTIAL) -> int:
        """The number of the version that is chosen."""
        return self.pipeline.open("echo", version, credential, 0).version.number

    def is_remembered(self) -> bool:
        """True if the second of two equal heads is not looked up anew."""
        self.open()
        asked = ("echo", None, CREDENTIAL)
        return self.pipeline._openings.find(asked, self.pipeline.snapshot, self.manager.routes) is not None


def test_a_head_is_remembered_and_its_key_is_counted_as_used_each_time() -> None:
    line = Line()
    assert line.is_remembered()
    line.pipeline.keys_used.clear()
    assert line.open() == 1
    assert line.pipeline.keys_used == {"key:1"}


def test_versions_and_credentials_are_told_apart() -> None:
    line = Line()
    assert (line.open(), line.open("2"), line.open()) == (1, 2, 1)
    for other in (None, b"Bearer dlp_" + b"b" * 43):
        with pytest.raises(Unauthenticated):
            line.open(credential=other)


def test_a_revoked_key_is_refused_at_once() -> None:
    line = Line()
    line.open()
    line.pipeline.snapshot = replace(line.pipeline.snapshot, keys={})
    with pytest.raises(Unauthenticated):
        line.open()


def test_a_key_that_loses_the_model_is_refused_at_once() -> None:
    line = Line()
    line.open()
    line.pipeline.snapshot = replace(
        line.pipeline.snapshot, keys={KEY.digest_hex: replace(KEY, models=frozenset({"another"}))}
    )
    with pytest.raises(NotFound):
        line.open()


def test_another_default_answers_at_once_and_none_is_said_to_be_loading() -> None:
    line = Line()
    line.open()
    line.manager.routes = replace(line.routes, defaults={"echo": 2})
    assert line.open() == 2
    line.manager.routes = EMPTY_ROUTES
    with pytest.raises(NotReady):
        line.open()


def test_an_expiring_key_is_looked_at_each_time() -> None:
    line = Line(replace(KEY, expires_at_unix_s=100.0))
    assert not line.is_remembered()
    line.unix_time_s = 100.0
    with pytest.raises(Unauthenticated):
        line.open()


def test_a_key_with_a_rate_spends_each_time() -> None:
    line = Line(replace(KEY, requests_per_s=1))
    assert not line.is_remembered()
    with pytest.raises(QuotaExceeded):
        for _ in range(3):
            line.open()


def test_a_rollout_is_drawn_for_each_request() -> None:
    line = Line()
    line.open()
    rollout = RolloutSnapshot(1, 2, RolloutMode.CANARY, 100.0)
    line.pipeline.snapshot = replace(line.pipeline.snapshot, models={"echo": replace(line.model, rollout=rollout)})
    assert not line.is_remembered()
    assert line.open() == 2


def test_it_is_bounded() -> None:
    line = Line()
    principal = line.pipeline.authenticate(CREDENTIAL)
    openings = Openings()
    openings.find(("echo", None, None), line.pipeline.snapshot, line.routes)
    for number in range(3 * MAX_OPENINGS):
        openings.keep(("echo", None, b"%d" % number), principal, ONE)
    assert len(openings._known) <= MAX_OPENINGS
