"""Plays a machine with the real tuning decisions, each 5 s, or with settings that stay, and says what came of it.

Tuned models begin with the defaults. The verdicts, the cool-downs and the memory are those of the product; where the
scenario leaves the number of instances to the scaling rule, that decides on the same seconds, each 5 s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from proxy.core.policies import Knob, ScalingPolicy, TuningMode
from proxy.core.units import NS_PER_S
from proxy.testing.tuning_machine import Machine
from proxy.testing.tuning_model import Kind, SimulatedModel
from proxy.testing.tuning_traces import Trace
from proxy.tuner.instance_count import CountDecision, instance_count
from proxy.tuner.knobs import Bounds, Settings, shown
from proxy.tuner.objective import Goal, score
from proxy.tuner.signals import signals_from
from proxy.tuner.tried import Tried, remember
from proxy.tuner.tuning import next_step
from proxy.tuner.tuning_view import HISTORY_S, SETTLE_S, Begin, Keep, Running, TuningView, Undo
from proxy.tuner.windows import TuningSecond, measured_second, window_from

TICK_S = 5
# Windows that the score of a run is the mean of, seconds.
SCORED_S = 30
# The scaling rule's window, seconds.
SCALING_S = 15
AUTOMATIC: Mapping[Knob, TuningMode] = dict.fromkeys(Knob, TuningMode.AUTOMATIC)


@dataclass(frozen=True, slots=True)
class Part:
    """One model of a scenario: what it is, what comes, what is aimed at, and within which bounds.

    `rule`: the number of instances follows the scaling rule with these bounds; None: it is tuned like the other knobs.
    """

    kind: Kind
    trace: Trace
    goal: Goal
    bounds: Bounds
    start: Settings = field(default_factory=Settings)
    rule: ScalingPolicy | None = None


@dataclass(slots=True)
class Tuned:
    """One model being tuned. `log` has (second, what was done); `outside` counts settings beyond the bounds."""

    part: Part
    model: SimulatedModel
    seconds: list[TuningSecond] = field(default_factory=list)
    settings_at: list[Settings] = field(default_factory=list)
    running: Running | None = None
    cooldown_s: float | None = None
    tried: tuple[Tried, ...] = ()
    log: list[tuple[int, str]] = field(default_factory=list)
    decisions: int = 0
    kept_at: list[int] = field(default_factory=list)
    begun_at: list[int] = field(default_factory=list)
    changed_at: list[int] = field(default_factory=list)
    outside: int = 0
    low_since_ns: int | None = None
    rule_words: str | None = None
    others: Sequence[Tuned] = ()

    def note(self, second: TuningSecond) -> None:
        """A second was measured under the settings in force."""
        self.seconds.append(second)
        self.settings_at.append(self.model.settings)

    def look(self, now_s: int, *, may_begin: bool = True) -> None:
        """One look of the scaling rule, where there is one, and of tuning; a new trial only if it `may_begin`."""
        if self.part.rule is not None:
            self._scale(self.part.rule, now_s)
        view = self.view()
        step = next_step(view, float(now_s))
        if isinstance(step, Begin):
            if not may_begin:
                return
            proposal = step.proposal
            self.decisions += 1
            self.begun_at.append(now_s)
            self.running = Running(proposal, float(now_s))
            move = f"{shown(proposal.knob, proposal.from_value)} → {shown(proposal.knob, proposal.to_value)}"
            self.log.append((now_s, f"try {proposal.knob.value} {move}: {proposal.words}"))
            self._set(view.settings.moved(proposal.knob, proposal.to_value), now_s)
        elif isinstance(step, Keep | Undo) and self.running is not None:
            proposal = self.running.proposal
            self.log.append((now_s, step.verdict.words))
            self.tried = remember(self.tried, step.verdict.tried)
            self.cooldown_s = step.cooldown_until_unix_s
            if isinstance(step, Keep):
                self.kept_at.append(now_s)
            else:
                self._set(view.settings.moved(proposal.knob, proposal.from_value), now_s)
            self.running = None

    def view(self) -> TuningView:
        """What a look is taken on."""
        model = self.model
        window = self.seconds[-1]
        return TuningView(
            model.settings,
            self.part.bounds,
            self.part.goal,
            self.comparable(),
            AUTOMATIC,
            self.running,
            self.cooldown_s,
            self.tried,
            cache=model.cache.report(window.compute_mean_ms or 0.0),
            instance_rule=self.rule_words,
            ready_instances=len(model.instances),
            instance_service_ms=model.service_times_ms(),
            neighbours={other.part.trace.name: other.seconds[-HISTORY_S:] for other in self.others},
        )

    def comparable(self) -> Sequence[TuningSecond]:
        """The newest seconds since the last change but the running one, as the product leaves out those before it."""
        now_s = len(self.seconds)
        applied_s = now_s if self.running is None else int(self.running.applied_at_unix_s)
        before = [at for one in (self, *self.others) for at in one.changed_at if at < applied_s]
        return self.seconds[max(now_s - HISTORY_S, max(before, default=-SETTLE_S) + SETTLE_S) :]

    def _set(self, settings: Settings, now_s: int) -> None:
        self.outside += any(not self.part.bounds.allow(knob, settings.of(knob)) for knob in Knob)
        self.changed_at.append(now_s)
        self.model.apply(settings, now_s * NS_PER_S)

    def _scale(self, policy: ScalingPolicy, now_s: int) -> None:
        measured = [measured_second(second) for second in self.seconds[-SCALING_S:]]
        wanted = self.model.settings.instances
        decision = instance_count(
            signals_from(measured, now_s),
            policy,
            wanted,
            self.low_since_ns,
            now_s * NS_PER_S,
            load_s=self.part.kind.load_s,
        )
        self.low_since_ns = decision.low_since_ns
        self.rule_words = decision.words
        if isinstance(decision, CountDecision):
            self._set(self.model.settings.moved(Knob.INSTANCES, decision.count), now_s)


def tuned(parts: Sequence[Part], seconds: int, *, cores: int = 64, seed: int = 1) -> list[Tuned]:
    """The parts together on one machine for so many seconds; their trials take turns, as the product's do."""
    models = [SimulatedModel(part.kind, part.trace, part.start, seed) for part in parts]
    machine = Machine(models, cores)
    found = [Tuned(part, model) for part, model in zip(parts, models, strict=True)]
    for one in found:
        one.others = [other for other in found if other is not one]
    for now_s in range(1, seconds + 1):
        for one, second in zip(found, machine.run_second(), strict=True):
            one.note(second)
            if now_s % TICK_S == 0:
                one.look(now_s, may_begin=not any(other.running for other in found))
    return found


def static(
    parts: Sequence[Part],
    settings: Sequence[Settings],
    begin_s: int,
    end_s: int,
    *,
    warm_s: int = 30,
    cores: int = 64,
    seed: int = 1,
) -> list[float]:
    """Each part's score with settings that stay, from `begin_s` to `end_s` of its trace, after `warm_s` unmeasured."""
    models = [
        SimulatedModel(part.kind, part.trace, one, seed, with_curve=False)
        for part, one in zip(parts, settings, strict=True)
    ]
    machine = Machine(models, cores)
    machine.second = max(begin_s - warm_s, 0)
    told: list[list[TuningSecond]] = [[] for _ in parts]
    while machine.second < end_s:
        for seconds, second in zip(told, machine.run_second(), strict=True):
            if second.at_unix_s > begin_s:
                seconds.append(second)
    return [
        mean_score(seconds, lambda _, one=one: one, part.goal)  # type: ignore[misc]
        for seconds, one, part in zip(told, settings, parts, strict=True)
    ]


def mean_score(seconds: Sequence[TuningSecond], settings: Callable[[int], Settings], goal: Goal) -> float:
    """Mean of the scores of windows of SCORED_S; `settings` gives those in force at a second's number in `seconds`."""
    scores = []
    for at in range(0, len(seconds) - SCORED_S + 1, SCORED_S):
        window = window_from(seconds[at : at + SCORED_S])
        found = score(window, settings(at + SCORED_S // 2), goal) if window is not None else None
        if found is not None:
            scores.append(found)
    return fmean(scores) if scores else float("inf")
