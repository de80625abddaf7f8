"""What was measured of a candidate beside the default version, and how sure it is. Pure.

    Wilson's interval of a share k/n:     (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n)
    Newcombe's lower bound of p₁ − p₂:    p₁ − p₂ − √((p₁ − l₁)² + (u₂ − p₂)²)

Both stay true for small counts and for shares near 0, where the usual normal interval says that no error means no risk.
Source: Wilson, JASA 22 (1927), 209-212; Newcombe, Statistics in Medicine 17 (1998), 873-890, method 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

# Standard deviations of a verdict: 0.05 % one-sided. A rollout is looked at each 2 s, so a false alarm must be far
# rarer than one look in twenty. Larger: fewer false aborts, and more wrong answers before a right one.
Z = 3.29


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one version over some time: answered; failed, refused or expired; latencies of the answered."""

    answered: int = 0
    failed: int = 0
    histogram: Mapping[int, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All that ended."""
        return self.answered + self.failed

    @property
    def failed_ratio(self) -> float:
        """Share that failed; 0 where nothing ended."""
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Compared:
    """Shadow answers beside the default's: how many were compared, and how many of them differed too much."""

    compared: int = 0
    differing: int = 0
    largest: float = 0.0


def bounds(part: int, whole: int, z: float = Z) -> tuple[float, float]:
    """Wilson's interval of the share `part`/`whole`; (0, 1) where nothing was counted."""
    if whole <= 0:
        return 0.0, 1.0
    share = part / whole
    squared = z * z
    middle = share + squared / (2 * whole)
    half = z * sqrt(share * (1 - share) / whole + squared / (4 * whole * whole))
    scale = 1 + squared / whole
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def surely_more(one: tuple[int, int], other: tuple[int, int], z: float = Z) -> float:
    """By how much the first share is surely above the second one (Newcombe's lower bound; negative: not surely)."""
    p1 = one[0] / one[1] if one[1] else 0.0
    p2 = other[0] / other[1] if other[1] else 0.0
    low, high = bounds(*one, z)[0], bounds(*other, z)[1]
    return p1 - p2 - sqrt((p1 - low) ** 2 + (high - p2) ** 2)
