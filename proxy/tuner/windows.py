"""What one model did over some measured seconds: the numbers that tuning compares. Pure.

    throughput  answered / s, cache hits included          arrivals   answered + failed + refused + growth of the queue
    quantiles   of the merged latency histograms            (averages of percentiles are not percentiles)
    S(b)        α + β·b through the seconds' executions      (proxy.tuner.service_time)

Rules: what cannot be known is None, never 0; a window of seconds that are absurd (`unusable`) is not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite

from proxy.core.hit_ratio import hit_ratio
from proxy.core.means import weighted_mean
from proxy.core.units import ns_to_ms
from proxy.core.words import Words, say
from proxy.metrics import histogram
from proxy.tuner.measured_names import MEASURED
from proxy.tuner.service_time import ServiceTime, fit_with_prior
from proxy.tuner.signals import MeasuredSecond, signals_from

# Age beyond which a measurement says nothing of now, and how far ahead of our clock one may be, seconds.
MAX_AGE_S = 15.0
MAX_AHEAD_S = 2.0
# Above these a measurement is a mistake, not load.
MAX_COUNT = 1e7
MAX_MEAN_MS = 3_600_000.0
MAX_INSTANCES = 10_000
MAX_BUSY_RATIO = 1.5


@dataclass(frozen=True, slots=True)
class TuningSecond:
    """One model's second, as the table of measurements has it. Means are of the second; None: nothing to tell.

    `histogram` is {bucket index: count} of proxy.metrics.histogram; `rows_by_bits` is {n: executions of more than
    2^(n-1) and at most 2^n rows}; `inferences` are rows executed.
    """

    at_unix_s: float
    requests: int = 0
    errors: int = 0
    rejections: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    coalesced: int = 0
    inferences: int = 0
    executions: int = 0
    queue_depth: int = 0
    in_flight: int = 0
    instances: int = 0
    busy_ratio: float = 0.0
    mean_ms: float | None = None
    queue_mean_ms: float | None = None
    compute_mean_ms: float | None = None
    cache_bytes: int = 0
    histogram: Mapping[int, int] = field(default_factory=dict)
    rows_by_bits: Mapping[int, int] = field(default_factory=dict)

    @property
    def executed(self) -> int:
        """Requests that were answered by an execution of their own."""
        return max(self.requests - self.cache_hits - self.coalesced, 0)


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive seconds of one model, from `start_unix_s` to `end_unix_s`, `length_s` of them measured.

    `crowded_per_s` is how many others a second a request that the model answers meets: more than the mean in bursts.
    """

    start_unix_s: float
    end_unix_s: float
    length_s: int
    requests: int
    cache_hits: int
    cache_misses: int
    coalesced: int
    rejections: int
    errors: int
    arrivals_per_s: float
    throughput_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None
    queue_mean_ms: float | None
    compute_mean_ms: float | None
    inferences: int
    executions: int
    rows_by_bits: Mapping[int, int]
    busy_ratio: float
    instances: float
    queue_depth: float
    cache_bytes: int
    line: ServiceTime | None
    gap_variation: float | None
    crowded_per_s: float

    @property
    def executed(self) -> int:
        """Requests that were answered by an execution of their own."""
        return max(self.requests - self.cache_hits - self.coalesced, 0)

    @property
    def hit_ratio(self) -> float | None:
        """See proxy.core.hit_ratio."""
        return hit_ratio(self.cache_hits, self.cache_misses)

    @property
    def lost_ratio(self) -> float:
        """Failed and refused ones of all that ended."""
        ended = self.requests + self.errors + self.rejections
        return (self.errors + self.rejections) / ended if ended else 0.0

    @property
    def rows_per_request(self) -> float | None:
        """Rows of a request that a model answered."""
        return self.inferences / self.executed if self.executed and self.inferences else None

    @property
    def rows_per_execution(self) -> float | None:
        """Mean batch."""
        return self.inferences / self.executions if self.executions and self.inferences else None

    @property
    def model_arrivals_per_s(self) -> float:
        """What arrives at the model a second: all but the hits and those that an identical request answers."""
        return max(self.arrivals_per_s - (self.cache_hits + self.coalesced) / self.length_s, 0.0)

    def quantile_ms(self, percent: int) -> float | None:
        """The 50th, 95th or 99th percentile of latency."""
        return {50: self.p50_ms, 95: self.p95_ms, 99: self.p99_ms}[percent]

    def half_empty_ratio(self, max_rows: int) -> float | None:
        """Share of the executions that held at most half of `max_rows` (by their power of two)."""
        total = sum(self.rows_by_bits.values())
        half = sum(count for bits, count in self.rows_by_bits.items() if 2**bits <= max_rows / 2)
        return half / total if total else None

    def figures(self) -> dict[str, float | None]:
        """What a decision's row keeps of it: finite numbers or None."""
        found: dict[str, float | None] = {name: getattr(self, name) for name in _FIGURES}
        found |= {"start_unix_s": self.start_unix_s, "length_s": self.length_s, "cache_bytes": self.cache_bytes}
        return {name: value if value is None or isfinite(value) else None for name, value in found.items()}


_FIGURES = (
    "arrivals_per_s",
    "throughput_per_s",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "mean_ms",
    "queue_mean_ms",
    "compute_mean_ms",
    "busy_ratio",
    "instances",
    "hit_ratio",
    "lost_ratio",
    "rows_per_execution",
)


class Unusable(StrEnum):
    """Why measurements cannot be decided on."""

    MISSING = "missing_metrics"
    STALE = "stale_metrics"
    ABSURD = "absurd_metrics"


def unusable(seconds: Sequence[TuningSecond], now_unix_s: float) -> tuple[Unusable, str] | None:
    """Why these seconds (oldest first) must not be decided on, in words; None if they may (F36)."""
    if not seconds:
        return Unusable.MISSING, say("There are no measurements of the last seconds; nothing is changed.")
    newest_s = seconds[-1].at_unix_s
    if not isfinite(newest_s) or newest_s > now_unix_s + MAX_AHEAD_S:
        return Unusable.ABSURD, say("The newest measurement lies in the future; nothing is changed.")
    if newest_s < now_unix_s - MAX_AGE_S:
        return Unusable.STALE, say(
            "The newest measurement is %(now_unix_s)s s old; nothing is changed.",
            now_unix_s=f"{now_unix_s - newest_s:.0f}",
        )
    for second in seconds:
        name = _absurd(second)
        if name is not None:
            return Unusable.ABSURD, say("The measured %(name)s is impossible; nothing is changed.", name=name)
    return None


def window_from(seconds: Sequence[TuningSecond]) -> Window | None:
    """The window of these seconds, oldest first; None where there are none, or one of them is absurd."""
    if not seconds or any(_absurd(second) is not None for second in seconds):
        return None
    length = len(seconds)
    counts: dict[int, int] = {}
    rows_by_bits: dict[int, int] = {}
    for second in seconds:
        histogram.merge(counts, second.histogram)
        histogram.merge(rows_by_bits, second.rows_by_bits)
    p50, p95, p99 = (None if ns is None else ns_to_ms(ns) for ns in histogram.quantiles(counts, (0.5, 0.95, 0.99)))
    requests, hits = sum(s.requests for s in seconds), sum(s.cache_hits for s in seconds)
    errors, rejections = sum(s.errors for s in seconds), sum(s.rejections for s in seconds)
    growth = seconds[-1].queue_depth - seconds[0].queue_depth
    capacity_s = sum(second.instances for second in seconds)
    serving = sum(second.instances > 0 for second in seconds)
    signals = signals_from([measured_second(second) for second in seconds], seconds[-1].at_unix_s)
    return Window(
        start_unix_s=seconds[0].at_unix_s,
        end_unix_s=seconds[-1].at_unix_s,
        length_s=length,
        requests=requests,
        cache_hits=hits,
        cache_misses=sum(s.cache_misses for s in seconds),
        coalesced=sum(s.coalesced for s in seconds),
        rejections=rejections,
        errors=errors,
        arrivals_per_s=max(requests + errors + rejections + growth, 0) / length,
        throughput_per_s=requests / length,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        mean_ms=weighted_mean([(s.mean_ms, s.requests) for s in seconds]),
        queue_mean_ms=weighted_mean([(s.queue_mean_ms, s.requests - s.cache_hits) for s in seconds]),
        compute_mean_ms=weighted_mean([(s.compute_mean_ms, s.requests - s.cache_hits) for s in seconds]),
        inferences=sum(s.inferences for s in seconds),
        executions=sum(s.executions for s in seconds),
        rows_by_bits=rows_by_bits,
        busy_ratio=sum(s.busy_ratio * s.instances for s in seconds) / capacity_s if capacity_s else 0.0,
        instances=capacity_s / serving if serving else 0.0,
        queue_depth=sum(s.queue_depth for s in seconds) / length,
        cache_bytes=seconds[-1].cache_bytes,
        line=fit_with_prior([_point(second) for second in seconds if second.instances and second.executions]),
        gap_variation=signals.gap_variation,
        crowded_per_s=_crowded_per_s(seconds),
    )


def between(seconds: Sequence[TuningSecond], start_unix_s: float, end_unix_s: float) -> list[TuningSecond]:
    """The seconds that ended after `start_unix_s` and not after `end_unix_s`."""
    return [second for second in seconds if start_unix_s < second.at_unix_s <= end_unix_s]


def measured_second(second: TuningSecond) -> MeasuredSecond:
    """What scaling's signals are read from, of a second that tuning looks at."""
    return MeasuredSecond(
        second.at_unix_s,
        second.requests,
        second.cache_hits + second.coalesced,
        second.rejections,
        second.queue_depth,
        second.instances,
        second.busy_ratio,
        second.executions,
        second.inferences,
    )


def _point(second: TuningSecond) -> tuple[float, float, float]:
    """(Executions, rows an execution, seconds an execution)."""
    executions = float(second.executions)
    return executions, second.inferences / executions, second.busy_ratio * second.instances / executions


def _crowded_per_s(seconds: Sequence[TuningSecond]) -> float:
    """How many a second reached the model in the seconds in which most of them did: the mean that a request meets."""
    counts = [second.executed for second in seconds]
    total = sum(counts)
    return sum(count * count for count in counts) / total if total else 0.0


def _absurd(second: TuningSecond) -> Words | None:
    """The name of a number that cannot be; None if all can."""
    counts = ("requests", "errors", "rejections", "cache_hits", "cache_misses", "coalesced", "inferences", "executions")
    limits: dict[str, float] = dict.fromkeys((*counts, "queue_depth", "in_flight"), MAX_COUNT)
    limits |= {"instances": MAX_INSTANCES, "busy_ratio": MAX_BUSY_RATIO, "cache_bytes": 2.0**50}
    limits |= dict.fromkeys(("mean_ms", "queue_mean_ms", "compute_mean_ms"), MAX_MEAN_MS)
    for name, most in limits.items():
        value = getattr(second, name)
        if value is not None and not (isfinite(value) and 0 <= value <= most):
            return MEASURED[name]
    return None
