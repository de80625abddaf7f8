"""Proposals in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.core.words import Words, say
from proxy.tuner.knobs import moved_in_words
from proxy.tuner.tuning_view import Expectation, Proposal

_METRICS = {
    "hits_ratio": say("hits"),
    "lost_ratio": say("lost"),
    "cache_mib": say("cache"),
    "capacity_per_s": say("capacity"),
}
# What a knob has to say: proposals, and a sentence for the page.
Said = tuple[list[Proposal], str]


def expected(expectation: Expectation) -> str:
    """What is to move, such as `p99 31.0 → 22.0 ms`."""
    before, after = expectation.before, expectation.after
    name = _METRICS.get(expectation.metric, Words(expectation.metric))
    if expectation.metric.endswith("_ms"):
        return say(
            "%(metric)s %(before)s → %(after)s ms",
            metric=expectation.metric.removesuffix("_ms"),
            before=f"{before:.1f}",
            after=f"{after:.1f}",
        )
    if expectation.metric.endswith("_ratio"):
        return name + f" {before:.0%} → {after:.0%}"
    if expectation.metric.endswith("_mib"):
        return name + f" {before:g} → {after:g} MiB"
    if expectation.metric.endswith("_per_s"):
        return name + f" {before:.0f} → {after:.0f}/s"
    if expectation.metric == "instances":
        return say("instances %(step)s", step=f"{before:.0f} → {after:.0f}")
    return name + f" {before:.0f} → {after:.0f}"


def best_of(found: Sequence[Proposal], fact: str) -> str:
    """A fact, and what the most promising step promises."""
    best = max(found, key=lambda one: one.gain_ratio, default=None)
    if best is None:
        return say("%(capital)s; no step promises anything.", capital=fact)
    step = moved_in_words(best.knob, best.from_value, best.to_value)
    gain = (
        say("promises %(gain_ratio)s", gain_ratio=f"{best.gain_ratio:.1%}")
        if best.gain_ratio > 0
        else say("promises nothing")
    )
    return say("%(capital)s; %(step)s %(gain)s.", capital=fact, step=step, gain=gain)
