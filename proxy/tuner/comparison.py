"""By how much a score changed between two windows, and how sure that is. Pure.

The windows are cut into PARTS each. Logarithms of their scores y are compared at equal load x (log of what arrived):

    y = window's level + slope·x + noise        one slope for both, by least squares within the windows
    change = ȳ₂ − ȳ₁ − slope·(x̄₂ − x̄₁)
    error² = s²·(1/n₁ + 1/n₂ + (x̄₂ − x̄₁)²/Sxx)

so that bursts and a load that moved a little between the windows are no noise. Where the load hardly varied, the slope
is 0 and this is Student's t.
Source: Cochran, Analysis of Covariance: Its Nature and Uses, Biometrics 13 (1957), 261-281.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import fmean

from proxy.core.policies import Knob
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

Points = list[tuple[float, float]]


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
        """With its margin."""
        return f"score {self.ratio:+.1%} ± {SIGNIFICANT_T * self.error:.1%}"


def change_of(
    before: Sequence[TuningSecond],
    after: Sequence[TuningSecond],
    old: Settings,
    new: Settings,
    goal: Goal,
    knob: Knob,
) -> Change | None:
    """The change of the score in a trial of `knob`; None where too few parts of a window can be scored."""
    was, now = _points(before, old, goal, knob), _points(after, new, goal, knob)
    if min(len(was), len(now)) < LEAST_PARTS:
        return None
    count = len(was) + len(now)
    (x_was, y_was), (x_now, y_now) = _means(was), _means(now)
    spread = sum((x - x_was) ** 2 for x, _ in was) + sum((x - x_now) ** 2 for x, _ in now)
    slope = 0.0
    if spread / count > LEAST_SPREAD:
        product = sum((x - x_was) * (y - y_was) for x, y in was) + sum((x - x_now) * (y - y_now) for x, y in now)
        slope = product / spread
    left = sum((y - y_was - slope * (x - x_was)) ** 2 for x, y in was)
    left += sum((y - y_now - slope * (x - x_now)) ** 2 for x, y in now)
    apart = (x_now - x_was) ** 2 / spread if slope else 0.0
    error = sqrt(left / (count - 3) * (1 / len(was) + 1 / len(now) + apart))
    return Change(y_now - y_was - slope * (x_now - x_was), error)


def _points(seconds: Sequence[TuningSecond], settings: Settings, goal: Goal, knob: Knob) -> Points:
    """(log of arrivals, log of score) of equal parts of the seconds; those without a score are left out."""
    length = max(len(seconds) // PARTS, 1)
    found: Points = []
    for at in range(0, min(length * PARTS, len(seconds)), length):
        part = seconds[at : at + length]
        window = window_from(part)
        value = score(window, settings, goal, knob) if window is not None else None
        if window is None or value is None or value <= 0:
            continue
        arrived = window.requests + window.errors + window.rejections + _in_lane(part[-1])
        arrived -= _in_lane(seconds[at - 1] if at else part[0])
        if arrived > 0:
            found.append((log(arrived), log(value)))
    return found


def _in_lane(second: TuningSecond) -> int:
    return second.queue_depth + second.in_flight


def _means(points: Points) -> tuple[float, float]:
    return fmean(x for x, _ in points), fmean(y for _, y in points)
