"""Decides whether a model's cache is in use: it is passed by where hits save less than looking and keeping cost. Pure.

    pays = hit ratio x service time / (look-up + (1 - hit ratio) x insert)      at 1 both are equal

The hit ratio is the larger of what was measured lately and what the miss-ratio curve says of the present size: the
first is low while a cache fills, the second unknown while little is sampled. The request's key is not counted as a
cost, since it is made in any case: identical requests in flight share one execution by it (F25).

    ON ── pays < LEAVE for POOR_S ──> BYPASSED ── after a while, or when the curve says RETURN ──> PROBING
    ^──────────────────────── pays >= RETURN after PROBE_LOOKUPS ─────────────────────────────────┘ (else BYPASSED)

Between LEAVE and RETURN things stay as they are, and each probe in vain doubles the time to the next, so nothing flaps.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proxy.core.units import NS_PER_MS, NS_PER_S, NS_PER_US
from proxy.core.words import say

# Ratios of saved to spent time at which the cache is left and taken up again. Farther apart: fewer changes.
LEAVE = 0.7
RETURN = 1.3
# How long it must not have paid before it is left. Longer: a lull costs nothing, a hostile load costs longer.
POOR_S = 5.0
# Look-ups below which a measured hit ratio says nothing.
FEWEST_LOOKUPS = 500.0
PROBE_LOOKUPS = 1_000
FIRST_PAUSE_NS = 30 * NS_PER_S
LONGEST_PAUSE_NS = 300 * NS_PER_S
# What was measured this long ago counts half.
HALF_LIFE_S = 10.0


class CacheState(StrEnum):
    """What a look-up meets."""

    ON = "on"
    OFF = "off"
    BYPASSED = "bypassed"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class CacheCosts:
    """What is known of one model's cache when it is decided. None: not measured yet.

    `looked` and `hits` count look-ups that were made, since ever. `would_hit_ratio` is the curve's word for the present
    size. `lookup_ns` and `insert_ns` are what the cache costs a request and an answer, `service_ns` what a hit saves.
    """

    looked: int
    hits: int
    would_hit_ratio: float | None = None
    lookup_ns: float | None = None
    insert_ns: float | None = None
    service_ns: float | None = None

    def pays(self, hit_ratio: float) -> float | None:
        """Saved over spent time at this hit ratio; None where a cost is not known."""
        if self.lookup_ns is None or self.insert_ns is None or self.service_ns is None:
            return None
        spent_ns = self.lookup_ns + (1 - hit_ratio) * self.insert_ns
        return hit_ratio * self.service_ns / max(spent_ns, 1.0)


class Bypass:
    """One model's state, moved by `update` about once a second."""

    __slots__ = (
        "_hits",
        "_last_ns",
        "_looked",
        "_pause_ns",
        "_poor_since_ns",
        "_probe_from",
        "_probe_ns",
        "_seen_hits",
        "_seen_looked",
        "hit_ratio",
        "pays",
        "state",
    )

    def __init__(self) -> None:
        self.state = CacheState.ON
        self.hit_ratio: float | None = None  # the one decided by last
        self.pays: float | None = None
        self._hits = self._looked = 0.0  # of late
        self._seen_hits = self._seen_looked = 0
        self._last_ns: int | None = None
        self._poor_since_ns: int | None = None
        self._pause_ns = FIRST_PAUSE_NS
        self._probe_ns = 0  # when the next probe is due
        self._probe_from = 0  # look-ups that had been made when the present probe began

    def update(self, now_ns: int, costs: CacheCosts) -> CacheState:
        """Decide anew."""
        self._measure(now_ns, costs)
        self.hit_ratio = self._best_ratio(costs)
        self.pays = None if self.hit_ratio is None else costs.pays(self.hit_ratio)
        if self.state is CacheState.ON:
            self._leave_if_poor(now_ns)
        elif self.state is CacheState.BYPASSED:
            self._probe_if_due(now_ns, costs)
        elif costs.looked - self._probe_from >= PROBE_LOOKUPS:
            self._end_probe(now_ns)
        return self.state

    def next_probe_s(self, now_ns: int) -> float:
        """Seconds until a bypassed cache is probed."""
        return max(self._probe_ns - now_ns, 0) / NS_PER_S

    def _measure(self, now_ns: int, costs: CacheCosts) -> None:
        elapsed_s = 0.0 if self._last_ns is None else (now_ns - self._last_ns) / NS_PER_S
        is_probing = self.state is CacheState.PROBING  # which counts as a whole, however long it takes
        kept = 1.0 if is_probing else 2.0 ** -(max(elapsed_s, 0.0) / HALF_LIFE_S)
        self._hits = self._hits * kept + max(costs.hits - self._seen_hits, 0)
        self._looked = self._looked * kept + max(costs.looked - self._seen_looked, 0)
        self._seen_hits, self._seen_looked, self._last_ns = costs.hits, costs.looked, now_ns

    def _best_ratio(self, costs: CacheCosts) -> float | None:
        measured = self._hits / self._looked if self._looked >= FEWEST_LOOKUPS else None
        if self.state is CacheState.BYPASSED:
            measured = None  # of before it was left
        known = [ratio for ratio in (measured, costs.would_hit_ratio) if ratio is not None]
        return max(known) if known else None

    def _leave_if_poor(self, now_ns: int) -> None:
        if self.pays is None or self.pays >= LEAVE or self._looked < FEWEST_LOOKUPS:
            self._poor_since_ns = None
        elif self._poor_since_ns is None:
            self._poor_since_ns = now_ns
        elif now_ns - self._poor_since_ns >= POOR_S * NS_PER_S:
            self._pause_ns = FIRST_PAUSE_NS
            self._pass_by(now_ns)

    def _probe_if_due(self, now_ns: int, costs: CacheCosts) -> None:
        if now_ns >= self._probe_ns or (self.pays is not None and self.pays >= RETURN):
            self.state = CacheState.PROBING
            self._probe_from = costs.looked
            self._hits = self._looked = 0.0

    def _end_probe(self, now_ns: int) -> None:
        if self.pays is None or self.pays >= RETURN:
            self.state = CacheState.ON
            return
        self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)
        self._pass_by(now_ns)

    def _pass_by(self, now_ns: int) -> None:
        self.state = CacheState.BYPASSED
        self._poor_since_ns = None
        self._probe_ns = now_ns + self._pause_ns


def words(bypass: Bypass, costs: CacheCosts, now_ns: int, *, is_enabled: bool = True) -> str:
    """Why the cache is in the state it is in, for people."""
    if not is_enabled:
        return say("Off by the model's policy.")
    if bypass.state is CacheState.PROBING:
        return say("Probing: a sample of look-ups is made to see whether hits pay again.")
    balance = _balance(bypass, costs)
    if bypass.state is CacheState.BYPASSED:
        pause_s = bypass.next_probe_s(now_ns)
        return say(
            "Bypassed: %(balance)s. Probed again in %(pause_s)s s, or when hits would pay.",
            balance=balance or say("hits did not pay"),
            pause_s=f"{pause_s:.0f}",
        )
    return (
        say("On: %(balance)s.", balance=balance)
        if balance
        else say("On: too little is known yet to say whether hits pay.")
    )


def _balance(bypass: Bypass, costs: CacheCosts) -> str:
    ratio = bypass.hit_ratio
    if bypass.pays is None or ratio is None or costs.service_ns is None:
        return ""
    spent_ns = (costs.lookup_ns or 0.0) + (1 - ratio) * (costs.insert_ns or 0.0)
    verb = say("would hit") if bypass.state is CacheState.BYPASSED else say("hit")
    saved, spent = _time(ratio * costs.service_ns), _time(spent_ns)
    return say(
        "%(ratio)s %% of look-ups %(verb)s, which saves %(saved)s of model time a request and costs %(spent)s",
        ratio=f"{100 * ratio:.3g}",
        verb=verb,
        saved=saved,
        spent=spent,
    )


def _time(value_ns: float) -> str:
    return f"{value_ns / NS_PER_US:.3g} µs" if value_ns < NS_PER_MS else f"{value_ns / NS_PER_MS:.3g} ms"
