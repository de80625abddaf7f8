"""Proposals in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.core.words import say
from proxy.tuner.knobs import shown
from proxy.tuner.tuning_view import Expectation, Proposal

# What a knob has to say: proposals, and a sentence for the page.
Said = tuple[list[Proposal], str]


def expected(expectation: Expectation) -> str:
    """What is to move, such as `p99 31.0 → 22.0 ms`."""
    before, after = expectation.before, expectation.after
    if expectation.metric.endswith("_ms"):
        return say(
            "%(metric)s %(before)s → %(after)s ms",
            metric=expectation.metric.removesuffix("_ms"),
            before=f"{before:.1f}",
            after=f"{after:.1f}",
        )
    if expectation.metric.endswith("_ratio"):
        return f"{expectation.metric.removesuffix('_ratio')} {before:.0%} → {after:.0%}"
    if expectation.metric.endswith("_mib"):
        return f"{expectation.metric.removesuffix('_mib')} {before:g} → {after:g} MiB"
    if expectation.metric.endswith("_per_s"):
        return f"{expectation.metric.removesuffix('_per_s')} {before:.0f} → {after:.0f}/s"
    return f"{expectation.metric} {before:.0f} → {after:.0f}"


def best_of(found: Sequence[Proposal], fact: str) -> str:
    """A fact, and what the most promising step promises."""
    best = max(found, key=lambda one: one.gain_ratio, default=None)
    if best is None:
        return say("%(capital)s; no step promises anything.", capital=fact)
    step = f"{shown(best.knob, best.from_value)} → {shown(best.knob, best.to_value)}"
    gain = (
        say("promises %(gain_ratio)s", gain_ratio=f"{best.gain_ratio:.1%}")
        if best.gain_ratio > 0
        else say("promises nothing")
    )
    return say("%(capital)s; %(step)s %(gain)s.", capital=fact, step=step, gain=gain)
