"""Stops sending requests to a candidate whose errors are surely more, without the control loop. No clock, no I/O.

Place: the runtime shows it each second's report and each new wanted state; what it stopped travels in the report, and
the control loop makes an abort of it when it is there to do so. With the loop at work both judge by the same rule, and
who sees the breach first acts.
Rules: only errors count here (latency and drift need history that the database has); the last seconds and everything
since the candidate came are looked at; what was stopped stays so until that rollout has ended.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from proxy.core.reports import ModelSecond, SecondReport, StoppedRollout
from proxy.core.snapshot import RolloutMode, RolloutSnapshot, Snapshot
from proxy.core.words import parts_of
from proxy.tuner.evidence import Counts
from proxy.tuner.rollout import RolloutPolicy, Window, error_breach

# Seconds that are judged by themselves. Smaller: what breaks late is seen sooner, on fewer requests.
RECENT_S = 20
_NOTHING = ModelSecond()


class RolloutGuard:
    """The canaries that run, what they did, and which of them were stopped."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}

    def follow(self, snapshot: Snapshot) -> Snapshot:
        """The wanted state with no traffic for what was stopped. Rollouts that have ended are forgotten."""
        old, self._watched = self._watched, {}
        models = dict(snapshot.models)
        for name, model in snapshot.models.items():
            rollout = model.rollout
            if rollout is None or rollout.mode is not RolloutMode.CANARY or model.default_version is None:
                continue
            watched = old.get(name)
            if watched is None or watched.rollout.rollout_id != rollout.rollout_id:
                watched = _Watched(name, rollout, model.default_version)
            watched.rollout = rollout
            self._watched[name] = watched
            if watched.words:
                models[name] = replace(model, rollout=replace(rollout, weight_percent=0.0))
        return replace(snapshot, models=MappingProxyType(models)) if self.stopped else snapshot

    def look(self, report: SecondReport) -> bool:
        """Count one second in. True if it is enough to stop another candidate."""
        before = len(self.stopped)
        for watched in self._watched.values():
            watched.count(report)
        return len(self.stopped) > before

    @property
    def stopped(self) -> tuple[StoppedRollout, ...]:
        """What gets no traffic any more, and why."""
        return tuple(
            StoppedRollout(name, watched.rollout.rollout_id, watched.words, parts_of(watched.words))
            for name, watched in self._watched.items()
            if watched.words
        )


class _Watched:
    """One canary: both versions' seconds, and why it was stopped ("": it was not)."""

    def __init__(self, model: str, rollout: RolloutSnapshot, default: int) -> None:
        self.rollout = rollout
        self.words = ""
        self._keys = (f"{model}/{rollout.candidate}", f"{model}/{default}")
        self._seconds: deque[tuple[Counts, Counts]] = deque(maxlen=RECENT_S)
        self._whole = (Counts(), Counts())

    def count(self, report: SecondReport) -> None:
        """Take one second in and judge."""
        if self.words:
            return
        candidate, default = (_counts(report.by_version.get(key, _NOTHING)) for key in self._keys)
        self._seconds.append((candidate, default))
        self._whole = (_sum((self._whole[0], candidate)), _sum((self._whole[1], default)))
        recent = (_sum(one for one, _ in self._seconds), _sum(other for _, other in self._seconds))
        policy = RolloutPolicy(self.rollout.mode, (), max_error_ratio=self.rollout.max_error_ratio)
        for mine, theirs in (recent, self._whole):
            breach = error_breach(Window(mine, theirs), policy)
            if breach is not None:
                self.words = breach.words
                return


def _counts(second: ModelSecond) -> Counts:
    return Counts(second.requests, second.errors + second.rejections)


def _sum(counts: Iterable[Counts]) -> Counts:
    answered = failed = 0
    for one in counts:
        answered += one.answered
        failed += one.failed
    return Counts(answered, failed)
