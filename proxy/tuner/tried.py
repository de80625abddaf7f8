"""Remembers what was tried at which load and what came of it, so that the same is not tried again soon. Pure.

Loads within a factor of two fall into the same or the next bucket (log₂ of what arrives a second); what was tried in a
bucket counts in its neighbours, too. What did not help rests for REST_S, twice as long each time it is undone again at
such a load, up to MOST_REST_S. What could not be concluded rests for a little, and twice as long each time as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import isfinite, log2
from typing import Any

from proxy.core.policies import Knob
from proxy.tuner.knobs import Value

# How long the same step rests after it was undone, seconds; after it could not be concluded; and at most.
REST_S = 3_600.0
INCONCLUSIVE_REST_S = 120.0
MOST_REST_S = 7 * 86_400.0
# Difference of hit ratios, in parts of the larger one and at least, within which the mix counts as the same under the
# same settings of the knob.
SAME_HITS = 0.25
LEAST_HITS = 0.03
# Entries kept. Larger: longer memory, larger rows.
MOST_KEPT = 200


class Outcome(StrEnum):
    """What came of a trial."""

    KEPT = "kept"
    UNDONE = "undone"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Tried:
    """One step that was tried at a load (see `load_bucket`), under an objective."""

    knob: Knob
    from_value: Value
    to_value: Value
    outcome: Outcome
    load: int
    at_unix_s: float
    objective: str = ""
    hits_before: float | None = None
    hits_after: float | None = None


def load_bucket(arrivals_per_s: float) -> int:
    """log₂ of the load, rounded; loads below one a second are alike."""
    return round(log2(max(arrivals_per_s, 1.0))) if isfinite(arrivals_per_s) else 0


@dataclass(frozen=True, slots=True)
class Circumstances:
    """At which load (`load_bucket`), under which objective and with which share of hits a step is thought of."""

    load: int
    objective: str = ""
    hits: float | None = None

    def resemble(self, one: Tried, hits: float | None) -> bool:
        """True if what was tried then, at `hits`, says something of now."""
        if abs(one.load - self.load) > 1 or one.objective != self.objective:
            return False
        if self.hits is None or hits is None:
            return True
        return abs(self.hits - hits) <= max(SAME_HITS * max(self.hits, hits), LEAST_HITS)


def rests_until_unix_s(
    tried: Sequence[Tried], knob: Knob, from_value: Value, to_value: Value, now: Circumstances
) -> float:
    """Until when this step rests at this load and mix; 0 where nothing speaks against it.

    Steps of a number the same way are alike. A step that was kept makes its way back rest: going to and fro is not
    tuning.
    """
    until_s, rest_s, short_s = 0.0, REST_S, INCONCLUSIVE_REST_S
    for one in tried:
        is_same = one.from_value == from_value and _same_way(one.to_value, to_value, from_value)
        if one.knob is not knob or not now.resemble(one, one.hits_before if is_same else one.hits_after):
            continue
        if one.outcome is Outcome.INCONCLUSIVE and is_same:
            until_s = max(until_s, one.at_unix_s + short_s)
            short_s = min(2 * short_s, MOST_REST_S)
        elif one.outcome is Outcome.UNDONE and is_same:
            until_s = max(until_s, one.at_unix_s + rest_s)
            rest_s = min(2 * rest_s, MOST_REST_S)
        elif one.outcome is Outcome.KEPT and one.from_value == to_value and one.to_value == from_value:
            until_s = max(until_s, one.at_unix_s + REST_S)
    return until_s


def _same_way(one: Value, other: Value, origin: Value) -> bool:
    """True for the same name, or two numbers on the same side of where they come from."""
    if isinstance(one, str) or isinstance(other, str) or isinstance(origin, str):
        return one == other
    return (one > origin) == (other > origin)


def remember(tried: Sequence[Tried], new: Tried) -> tuple[Tried, ...]:
    """With the new one last; the oldest beyond MOST_KEPT are forgotten."""
    return (*tried, new)[-MOST_KEPT:]


def to_json(tried: Iterable[Tried]) -> list[dict[str, Any]]:
    """As a JSON column keeps it."""
    return [asdict(one) for one in tried]


def from_json(rows: Iterable[Any]) -> tuple[Tried, ...]:
    """What `to_json` wrote; rows that are none of ours are left out."""
    found = (_one(row) for row in rows)
    return tuple(one for one in found if one is not None)


def _ratio(value: Any) -> float | None:
    return None if value is None else float(value)


def _one(row: Any) -> Tried | None:
    try:
        return Tried(
            Knob(row["knob"]),
            row["from_value"],
            row["to_value"],
            Outcome(row["outcome"]),
            int(row["load"]),
            float(row["at_unix_s"]),
            str(row.get("objective", "")),
            _ratio(row.get("hits_before")),
            _ratio(row.get("hits_after")),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
