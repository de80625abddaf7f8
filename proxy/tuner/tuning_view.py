"""What tuning looks at, and what it says: the values that `proxy.tuner.tuning.next_step` takes and gives. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.core.policies import Knob, TuningMode
from proxy.core.reports import CacheReport
from proxy.tuner.knobs import Bounds, Settings, Value
from proxy.tuner.objective import Goal
from proxy.tuner.tried import Outcome, Tried
from proxy.tuner.windows import TuningSecond, Window

# Length of the windows before and after, seconds. Larger: smaller effects are seen, each trial takes longer.
WINDOW_S = 30
# Longest that the windows become where WINDOW_S leave the verdict open. Larger: smaller effects are seen, slower.
MOST_WINDOW_S = 120
# Time after a change until the window after begins: the data plane has read it and old batches are gone, seconds.
SETTLE_S = 5
# Longest that a cache may take to fill before it is judged.
MOST_SETTLE_S = 60
# Rest after each verdict, before the next change. Larger: calmer, slower.
COOLDOWN_S = 10
# Seconds of measurements to give in `TuningView.seconds`, newest last.
HISTORY_S = 2 * MOST_WINDOW_S + MOST_SETTLE_S + 30


class Aim(StrEnum):
    """What a change is for: a better score, or less memory or instances at no worse a score."""

    BETTER = "better"
    CHEAPER = "cheaper"


class Why(StrEnum):
    """The reason of a proposal, or of a hold."""

    # proposals
    EXECUTIONS_TOO_LONG = "executions_too_long"
    BATCHES_FULL = "batches_full"
    COMPANY_PAYS = "company_pays"
    WAITING_DOES_NOT_PAY = "waiting_does_not_pay"
    INSTANCES_DIFFER = "instances_differ"
    CACHE_SAVES = "cache_saves"
    CACHE_IDLE = "cache_idle"
    EVICTION_COMPARED = "eviction_compared"
    QUEUE_TOO_LONG = "queue_too_long"
    LIMIT_REFUSES = "limit_refuses"
    TARGET_MISSED = "target_missed"
    TARGET_HELD = "target_held"
    # holds
    FROZEN = "frozen"
    OFF = "off"
    MISSING_METRICS = "missing_metrics"
    STALE_METRICS = "stale_metrics"
    ABSURD_METRICS = "absurd_metrics"
    NO_INSTANCE = "no_instance"
    TOO_FEW_SECONDS = "too_few_seconds"
    TOO_LITTLE_LOAD = "too_little_load"
    UNSTEADY_LOAD = "unsteady_load"
    COOLING_DOWN = "cooling_down"
    NO_TARGET = "no_target"
    NOTHING_PROMISING = "nothing_promising"
    ALL_TRIED = "all_tried"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the change is expected to move: `metric` from `before` to `after`; `words` say why, without a full stop."""

    metric: str
    before: float
    after: float
    lower_is_better: bool
    words: str

    def as_mapping(self) -> dict[str, str | float]:
        """As a decision's row keeps it."""
        better = "lower" if self.lower_is_better else "higher"
        return {"metric": self.metric, "before": self.before, "after": self.after, "better": better}


Evidence = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Move one knob. `gain_ratio` is by how much the score is expected to fall; `words` are the reason."""

    knob: Knob
    from_value: Value
    to_value: Value
    why: Why
    words: str
    expectation: Expectation
    aim: Aim = Aim.BETTER
    gain_ratio: float = 0.0
    settle_s: float = SETTLE_S
    evidence: Evidence = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """A change that is in force and being measured. `proposal` as it was when it was applied."""

    proposal: Proposal
    applied_at_unix_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a trial, in words, with both windows (None where one could not be made).

    `is_open`: more of the same measurements may change it (too few requests, or a change that chance explains as well).
    """

    outcome: Outcome
    words: str
    before: Window | None
    after: Window | None
    tried: Tried
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Change nothing, and why; `by_knob` says it of each knob that was looked at."""

    why: Why
    words: str
    by_knob: Mapping[Knob, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Advise:
    """Propose it to people: its knob's mode is advise."""

    proposal: Proposal
    by_knob: Mapping[Knob, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begin:
    """Apply it now and start measuring."""

    proposal: Proposal
    by_knob: Mapping[Knob, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Measure:
    """A trial is running; its verdict comes not before `until_unix_s`."""

    words: str
    until_unix_s: float


@dataclass(frozen=True, slots=True)
class Keep:
    """The trial helped: its value stays. `cooldown_until_unix_s`: nothing is begun before."""

    verdict: Verdict
    cooldown_until_unix_s: float


@dataclass(frozen=True, slots=True)
class Undo:
    """Put `running.proposal.from_value` back: it did not help, hurt, or could not be concluded."""

    verdict: Verdict
    cooldown_until_unix_s: float


Step = Hold | Advise | Begin | Measure | Keep | Undo


@dataclass(frozen=True, slots=True)
class TuningView:
    """Everything that one look is taken on.

    `seconds` are the model's newest HISTORY_S, oldest first. `modes`: a knob that is not named is advised on. `cache`
    None: no cache, or nothing known of it. `instance_rule` are the last words of the rule that sets the number of
    instances (proxy.tuner.instance_count) while that rule is in force; None: it is switched off, and tuning may move
    the number by its mode. `advised` are cards that wait for a person, so that they are not proposed again.
    `instance_service_ms` is each ready instance's average of an execution (empty: not known).
    `neighbours` are the same seconds of the other models on the machine: what they lose by a change undoes it.
    """

    settings: Settings
    bounds: Bounds
    goal: Goal
    seconds: Sequence[TuningSecond]
    modes: Mapping[Knob, TuningMode] = field(default_factory=dict)
    running: Running | None = None
    cooldown_until_unix_s: float | None = None
    tried: Sequence[Tried] = ()
    frozen: bool = False
    cache: CacheReport | None = None
    instance_rule: str | None = None
    ready_instances: int | None = None
    instance_service_ms: Sequence[float] = ()
    neighbours: Mapping[str, Sequence[TuningSecond]] = field(default_factory=dict)
    advised: Sequence[Knob] = ()

    def mode(self, knob: Knob) -> TuningMode:
        """What may be done with the knob."""
        return self.modes.get(knob, TuningMode.ADVISE)
