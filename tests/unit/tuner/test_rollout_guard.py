"""The data plane stops a canary whose errors are surely more, without anyone's help."""

from __future__ import annotations

from proxy.core.reports import MachineReport, ModelSecond, SecondReport
from proxy.core.snapshot import ModelSnapshot, RolloutMode, RolloutSnapshot, Snapshot
from proxy.tuner.rollout_guard import RECENT_S, RolloutGuard


def wanted(rollout: RolloutSnapshot | None, generation: int = 1) -> Snapshot:
    return Snapshot(generation, {"net": ModelSnapshot("net", {}, 1, 2, rollout=rollout)}, {})


def canary(rollout_id: int = 7, weight: float = 10.0, mode: RolloutMode = RolloutMode.CANARY) -> RolloutSnapshot:
    return RolloutSnapshot(rollout_id, 2, mode, weight)


def second(candidate: tuple[int, int], default: tuple[int, int] = (90, 0)) -> SecondReport:
    """(answered, failed) of each."""
    by_version = {
        key: ModelSecond(requests=answered, errors=failed)
        for key, (answered, failed) in (("net/2", candidate), ("net/1", default))
    }
    return SecondReport(1, 1, 1, ModelSecond(), {}, (), (), MachineReport(1.0, (1.0,), 1, 2), by_version=by_version)


def weight_of(snapshot: Snapshot) -> float:
    rollout = snapshot.models["net"].rollout
    assert rollout is not None
    return rollout.weight_percent


def test_a_candidate_that_fails_gets_nothing_any_more() -> None:
    guard = RolloutGuard()
    assert weight_of(guard.follow(wanted(canary()))) == 10
    assert guard.look(second((2, 8)))
    assert not guard.look(second((2, 8))), "it was stopped once"
    (stopped,) = guard.stopped
    assert (stopped.model, stopped.rollout_id) == ("net", 7)
    assert "8 of 10 requests of the candidate failed" in stopped.words
    assert weight_of(guard.follow(wanted(canary(weight=50), 2))) == 0, "until the rollout has ended"


def test_another_rollout_begins_anew() -> None:
    guard = RolloutGuard()
    guard.follow(wanted(canary()))
    guard.look(second((0, 10)))
    guard.follow(wanted(None, 2))
    assert guard.stopped == ()
    assert weight_of(guard.follow(wanted(canary(8), 3))) == 10


def test_few_errors_and_errors_that_the_default_has_too_stop_nothing() -> None:
    guard = RolloutGuard()
    guard.follow(wanted(canary()))
    assert not guard.look(second((6, 4)))
    for _ in range(60):
        assert not guard.look(second((5, 5), (45, 45)))


def test_what_breaks_late_is_not_diluted() -> None:
    guard = RolloutGuard()
    guard.follow(wanted(canary()))
    for _ in range(2_000):
        assert not guard.look(second((10, 0)))
    seconds = next(count for count in range(1, RECENT_S + 1) if guard.look(second((7, 3))))
    assert seconds <= 10


def test_a_shadow_answers_nobody_and_is_not_stopped() -> None:
    guard = RolloutGuard()
    assert weight_of(guard.follow(wanted(canary(mode=RolloutMode.SHADOW)))) == 10
    assert not guard.look(second((0, 100)))
