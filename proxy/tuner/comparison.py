"""By how much a score changed between two windows, and how sure that is. Pure.

The windows are cut into PARTS each. Logarithms of their scores y are compared at equal load x (log of what arrived),
each part with the weight w of its answers, as the objective counts requests and not seconds:

    y = window's level + slope·x + noise        one slope for both, by weighted least squares within the windows
    change = ȳ₂ − ȳ₁ − slope·(x̄₂ − x̄₁)
    error² = s²·(1/n₁ + 1/n₂ + (x̄₂ − x̄₁)²/Sxx), n = (Σw)² / Σw²

so that bursts and a load that moved a little between the windows are no noise. Where the load hardly varied, the slope
is 0 and this is Student's t.
Source: Cochran, Analysis of Covariance: Its Nature and Uses, Biometrics 13 (1957), 261-281.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1, log, sqrt

from proxy.core.policies import Knob
from proxy.core.words import say
from proxy.tuner.knobs import Settings
from proxy.tuner.objective import Goal, score
from proxy.tuner.windows import TuningSecond, window_from

PARTS = 10
# Parts without which a window says nothing.
LEAST_PARTS = 5
# Spread of the load (variance of its logarithm) below which its slope means nothing: some 3 %.
LEAST_SPREAD = 0.001
# Standard errors of a change that counts as real: 5 % one-sided with 2·PARTS − 3 degrees of freedom.
SIGNIFICANT_T = 1.74
# Logarithm beyond which a change is not told more exactly: twenty times what it was.
MOST_SHOWN = 3.0


@dataclass(frozen=True, slots=True)
class _Level:
    """One window: (weight, x, y) of its parts, their weighted means, and the number of equal parts they stand for."""

    points: list[tuple[float, float, float]]
    x: float
    y: float
    count: float

    def sums(self) -> tuple[float, float]:
        """Weighted sums of squares of x and of products with y, around the means."""
        squares = sum(w * (x - self.x) ** 2 for w, x, _ in self.points)
        return squares, sum(w * (x - self.x) * (y - self.y) for w, x, y in self.points)

    def left(self, slope: float) -> float:
        """Weighted sum of squares that the slope leaves."""
        return sum(w * (y - self.y - slope * (x - self.x)) ** 2 for w, x, y in self.points)


@dataclass(frozen=True, slots=True)
class Change:
    """Change of the score's logarithm (about its share; negative is better), its standard error."""

    ratio: float
    error: float

    @property
    def is_sure(self) -> bool:
        """True if chance alone would hardly make it."""
        return abs(self.ratio) > SIGNIFICANT_T * self.error

    @property
    def words(self) -> str:
        """As a share of what it was, with what chance leaves open."""
        margin = SIGNIFICANT_T * self.error
        return say(
            "by the objective %(ratio)s, likely between %(low)s and %(high)s; less is better",
            ratio=_share(self.ratio),
            low=_share(self.ratio - margin),
            high=_share(self.ratio + margin),
        )


def _share(logarithm: float) -> str:
    """A change of a logarithm as a change of what it is of."""
    return f"{expm1(min(logarithm, MOST_SHOWN)):+.0%}"


def change_of(
    before: Sequence[TuningSecond],
    after: Sequence[TuningSecond],
    old: Settings,
    new: Settings,
    goal: Goal,
    knob: Knob,
) -> Change | None:
    """The change of the score in a trial of `knob`; None where too few parts of a window can be scored."""
    was, now = _level(before, old, goal, knob), _level(after, new, goal, knob)
    if was is None or now is None:
        return None
    squares, products = (one + other for one, other in zip(was.sums(), now.sums(), strict=True))
    weight = sum(w for w, _, _ in (*was.points, *now.points))
    count = len(was.points) + len(now.points)
    slope = products / squares if squares / weight > LEAST_SPREAD else 0.0
    variance = (was.left(slope) + now.left(slope)) / weight * count / (count - 3)
    apart = (now.x - was.x) ** 2 / (squares / weight * count) if slope else 0.0
    error = sqrt(variance * (1 / was.count + 1 / now.count + apart))
    return Change(now.y - was.y - slope * (now.x - was.x), error)


def _level(seconds: Sequence[TuningSecond], settings: Settings, goal: Goal, knob: Knob) -> _Level | None:
    """The parts that have a score; None where they are too few."""
    length = max(len(seconds) // PARTS, 1)
    points: list[tuple[float, float, float]] = []
    for at in range(0, min(length * PARTS, len(seconds)), length):
        part = seconds[at : at + length]
        window = window_from(part)
        value = score(window, settings, goal, knob) if window is not None else None
        if window is None or value is None or value <= 0:
            continue
        arrived = window.requests + window.errors + window.rejections + _in_lane(part[-1])
        arrived -= _in_lane(seconds[at - 1] if at else part[0])
        if arrived > 0:
            points.append((float(window.requests), log(arrived), log(value)))
    if len(points) < LEAST_PARTS:
        return None
    weight = sum(w for w, _, _ in points)
    x, y = sum(w * x for w, x, _ in points) / weight, sum(w * y for w, _, y in points) / weight
    return _Level(points, x, y, weight**2 / sum(w * w for w, _, _ in points))


def _in_lane(second: TuningSecond) -> int:
    return second.queue_depth + second.in_flight
