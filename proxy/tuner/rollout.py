"""Decides each look at a rollout: next step, promotion, abort, or wait. Pure.

    failed     the candidate's instances were given up, or did not start                           → abort at once
    stopped    the data plane stopped it by the next rule (proxy.tuner.rollout_guard)              → abort
    errors     Newcombe's lower bound of (its error share − the default's) > max_error_percent     → abort
    latency    Wilson's lower bound of the share of its answers slower than
               max_p99_ratio × the default's p99   > 1 %  (what a p99 within the ratio allows)     → abort
    drift      Wilson's lower bound of the share of differing shadow answers > max_differing        → abort
    otherwise  advance when the step's hold time is over and it answered MIN_EVIDENCE requests in it

Rules: an abort needs MIN_BAD bad ones, so that one unlucky request never ends a rollout; each rule looks at the whole
step and at its last seconds (`windows`), so that what breaks late is not diluted by what went well before; time in
which the candidate did not answer is no hold time; nothing is decided on news older than MAX_AGE_S.
Why not p99 against p99: the candidate has a small share of the traffic, and the p99 of 50 requests is their slowest
one. How many are slower than the limit can be told from 20.
Decision: docs/decisions/0029-rollout-verdicts.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.core.snapshot import RolloutMode
from proxy.core.words import joined, say
from proxy.metrics import histogram
from proxy.tuner.evidence import Compared, Counts, bounds, surely_more

# Requests of the candidate in a step before it may be left. Larger: surer, and slower for models with few calls.
MIN_EVIDENCE = 20
# Bad ones (failed, too slow, differing) before an abort.
MIN_BAD = 5
# Answers of the default before its p99 is a limit for others.
MIN_BASELINE = 50
# Share of answers that may be slower than the p99: by its definition.
SLOW_RATIO = 0.01
# Failed starts before a candidate that never answered is given up; the instances themselves try five times over 31 s.
MAX_FAILED_STARTS = 2
# The data plane's load states in which it starts no instance any more.
GIVEN_UP = frozenset({"failed", "quarantined"})
# Age of the newest measurement beyond which nothing is decided, seconds.
MAX_AGE_S = 10.0


class RolloutReason(StrEnum):
    """Why a rollout moves, ends or waits."""

    HEALTHY = "healthy"
    CANDIDATE_FAILED = "candidate_failed"
    ERROR_RATE = "error_rate"
    LATENCY = "latency"
    OUTPUT_DRIFT = "output_drift"
    HELD_BY_OPERATOR = "held_by_operator"
    CANDIDATE_LOADING = "candidate_loading"
    HOLD_TIME = "hold_time"
    FEW_REQUESTS = "few_requests"
    STALE_MEASUREMENTS = "stale_measurements"
    SHADOW_DONE = "shadow_done"


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """Bounds of one rollout. `steps` are (weight in percent, hold time in seconds), in order."""

    mode: RolloutMode
    steps: tuple[tuple[float, float], ...]
    max_error_ratio: float = 0.01
    max_p99_ratio: float = 2.0
    max_differing_ratio: float = 0.01


@dataclass(frozen=True, slots=True)
class Window:
    """Both versions over the same time. `compared` is of a shadow."""

    candidate: Counts
    default: Counts
    compared: Compared = field(default_factory=Compared)


@dataclass(frozen=True, slots=True)
class RolloutView:
    """A rollout now. `windows` begins with the step's own; `age_s` is that of the newest measurement (None: none).

    `candidate_state` is the data plane's load state of the candidate ("": it does not know it yet), `trouble` its
    words about it, `failed_starts` how often an instance of it was lost or did not start. `stopped`: why the data plane
    sends it nothing any more ("": it does).
    """

    step_index: int
    step_age_s: float
    is_held: bool
    candidate_state: str
    windows: Sequence[Window]
    age_s: float | None
    trouble: str = ""
    failed_starts: int = 0
    stopped: str = ""


Evidence = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to step `to_step`."""

    to_step: int
    words: str
    evidence: Evidence
    reason: RolloutReason = RolloutReason.HEALTHY


@dataclass(frozen=True, slots=True)
class Promote:
    """The last step was passed: make the candidate the default."""

    words: str
    evidence: Evidence
    reason: RolloutReason = RolloutReason.HEALTHY


@dataclass(frozen=True, slots=True)
class Abort:
    """Take the candidate's traffic away."""

    reason: RolloutReason
    words: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Wait:
    """Leave it. `restart_clock`: the step begins when the candidate answers."""

    reason: RolloutReason
    words: str
    evidence: Evidence = field(default_factory=dict)
    restart_clock: bool = False


Verdict = Advance | Promote | Abort | Wait


def judge_rollout(view: RolloutView, policy: RolloutPolicy) -> Verdict:
    """What to do now. Breaches come first: a rollout that an operator holds is watched all the same."""
    if view.age_s is None or view.age_s > MAX_AGE_S:
        age = say("none") if view.age_s is None else say("%(age_s)s s old", age_s=f"{view.age_s:.0f}")
        words = say("Nothing is decided without fresh measurements (%(age)s).", age=age)
        return Wait(RolloutReason.STALE_MEASUREMENTS, words)
    evidence = evidence_of(view.windows[0])
    if view.candidate_state in GIVEN_UP or (
        view.candidate_state != "ready" and view.failed_starts >= MAX_FAILED_STARTS
    ):
        trouble = view.trouble or say("its instances were given up")
        words = say("The candidate does not run: %(trouble)s", trouble=trouble)
        return Abort(RolloutReason.CANDIDATE_FAILED, words, evidence)
    if view.stopped:
        words = say("Stopped by the data plane: %(why)s", why=view.stopped)
        return Abort(RolloutReason.ERROR_RATE, words, evidence)
    for window in view.windows:
        breach = _breach(window, policy)
        if breach is not None:
            return breach
    if view.candidate_state != "ready":
        words = say("The candidate is loading; its hold time begins when it answers.")
        return Wait(RolloutReason.CANDIDATE_LOADING, words, evidence, restart_clock=True)
    if view.is_held:
        return Wait(RolloutReason.HELD_BY_OPERATOR, say("Held until an operator lets it go on."), evidence)
    return _go_on(view, policy, evidence)


def _go_on(view: RolloutView, policy: RolloutPolicy, evidence: Evidence) -> Verdict:
    weight, hold_s = policy.steps[view.step_index]
    if view.step_age_s < hold_s:
        words = say(
            "%(weight)s %% for %(age_s)s s of %(hold_s)s s.",
            weight=f"{weight:g}",
            age_s=f"{view.step_age_s:.0f}",
            hold_s=f"{hold_s:g}",
        )
        return Wait(RolloutReason.HOLD_TIME, words, evidence)
    seen = view.windows[0].candidate.requests
    if seen < MIN_EVIDENCE and weight > 0:
        words = say(
            "%(seen)s requests of the candidate in this step; %(least)s are needed to judge it.",
            seen=seen,
            least=MIN_EVIDENCE,
        )
        return Wait(RolloutReason.FEW_REQUESTS, words, evidence)
    passed = say(
        "%(seen)s requests over %(age_s)s s at %(weight)s %% broke no rule.",
        seen=seen,
        age_s=f"{view.step_age_s:.0f}",
        weight=f"{weight:g}",
    )
    if view.step_index + 1 < len(policy.steps):
        following = say("Next: %(weight)s %%.", weight=f"{policy.steps[view.step_index + 1][0]:g}")
        return Advance(view.step_index + 1, joined(" ", (passed, following)), evidence)
    if policy.mode is RolloutMode.SHADOW:
        done = say("The comparison is complete; promote the candidate, or start a canary.")
        return Wait(RolloutReason.SHADOW_DONE, joined(" ", (passed, done)), evidence)
    return Promote(joined(" ", (passed, say("That was the last step."))), evidence)


def _breach(window: Window, policy: RolloutPolicy) -> Abort | None:
    return error_breach(window, policy) or _latency(window, policy) or _drift(window, policy)


def error_breach(window: Window, policy: RolloutPolicy) -> Abort | None:
    """An abort if the candidate surely fails more often than the default one and its bound; else None."""
    candidate, default = window.candidate, window.default
    if candidate.failed < MIN_BAD:
        return None
    share = (candidate.failed, candidate.requests)
    surely = surely_more(share, (default.failed, default.requests)) if default.requests else bounds(*share)[0]
    if surely <= policy.max_error_ratio:
        return None
    words = say(
        "%(failed)s of %(requests)s requests of the candidate failed (%(failed_ratio)s; the default's "
        "%(default_ratio)s): surely %(surely)s more; %(most)s may.",
        failed=candidate.failed,
        requests=candidate.requests,
        failed_ratio=f"{candidate.failed_ratio:.1%}",
        default_ratio=f"{default.failed_ratio:.1%}",
        surely=f"{surely:.1%}",
        most=f"{policy.max_error_ratio:.1%}",
    )
    return Abort(RolloutReason.ERROR_RATE, words, evidence_of(window))


def _latency(window: Window, policy: RolloutPolicy) -> Abort | None:
    answered = sum(window.candidate.histogram.values())
    default_p99_ns = histogram.quantile(window.default.histogram, 0.99)
    if default_p99_ns is None or sum(window.default.histogram.values()) < MIN_BASELINE:
        return None
    limit_ns = default_p99_ns * policy.max_p99_ratio
    slow = sum(n for bucket, n in window.candidate.histogram.items() if histogram.lower_ns(bucket) > limit_ns)
    if slow < MIN_BAD or bounds(slow, answered)[0] <= SLOW_RATIO:
        return None
    words = say(
        "%(slow)s of %(answered)s answers of the candidate took longer than %(limit_ms)s ms, "
        "%(ratio)s times the default's p99 of %(default_ms)s ms; 1 %% may.",
        slow=slow,
        answered=answered,
        limit_ms=f"{limit_ns / 1e6:.1f}",
        ratio=f"{policy.max_p99_ratio:g}",
        default_ms=f"{default_p99_ns / 1e6:.1f}",
    )
    return Abort(RolloutReason.LATENCY, words, evidence_of(window))


def _drift(window: Window, policy: RolloutPolicy) -> Abort | None:
    compared = window.compared
    surely = bounds(compared.differing, compared.compared)[0]
    if compared.differing < MIN_BAD or surely <= policy.max_differing_ratio:
        return None
    words = say(
        "%(differing)s of %(compared)s compared answers differ beyond the tolerance (the largest by %(largest)s): "
        "surely %(surely)s, %(most)s are allowed.",
        differing=compared.differing,
        compared=compared.compared,
        largest=f"{compared.largest:.3g}",
        surely=f"{surely:.1%}",
        most=f"{policy.max_differing_ratio:.1%}",
    )
    return Abort(RolloutReason.OUTPUT_DRIFT, words, evidence_of(window))


def evidence_of(window: Window) -> dict[str, float | int | str | None]:
    """The window's numbers, for the Decision row and the page."""
    candidate, default = window.candidate, window.default
    return {
        "candidate_requests": candidate.requests,
        "candidate_failed": candidate.failed,
        "candidate_p99_ms": _p99_ms(candidate),
        "default_requests": default.requests,
        "default_failed": default.failed,
        "default_p99_ms": _p99_ms(default),
        "compared": window.compared.compared,
        "differing": window.compared.differing,
        "largest_difference": window.compared.largest,
    }


def _p99_ms(counts: Counts) -> float | None:
    p99_ns = histogram.quantile(counts.histogram, 0.99)
    return None if p99_ns is None else p99_ns / 1e6
