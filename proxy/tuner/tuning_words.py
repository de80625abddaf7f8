"""Proposals in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.tuner.knobs import shown
from proxy.tuner.tuning_view import Expectation, Proposal

# What a knob has to say: proposals, and a sentence for the page.
Said = tuple[list[Proposal], str]


def expected(expectation: Expectation) -> str:
    """What is to move, such as `p99 31.0 → 22.0 ms`."""
    before, after = expectation.before, expectation.after
    if expectation.metric.endswith("_ms"):
        return f"{expectation.metric.removesuffix('_ms')} {before:.1f} → {after:.1f} ms"
    if expectation.metric.endswith("_ratio"):
        return f"{expectation.metric.removesuffix('_ratio')} {before:.0%} → {after:.0%}"
    if expectation.metric.endswith("_mib"):
        return f"{expectation.metric.removesuffix('_mib')} {before:g} → {after:g} MiB"
    if expectation.metric.endswith("_per_s"):
        return f"{expectation.metric.removesuffix('_per_s')} {before:.0f} → {after:.0f}/s"
    return f"{expectation.metric} {before:.0f} → {after:.0f}"


def best_of(found: Sequence[Proposal], fact: str) -> str:
    """A fact, and what the most promising step promises."""
    fact = f"{fact[0].upper()}{fact[1:]}"
    best = max(found, key=lambda one: one.gain_ratio, default=None)
    if best is None:
        return f"{fact}; no step promises anything."
    step = f"{shown(best.knob, best.from_value)} → {shown(best.knob, best.to_value)}"
    gain = f"promises {best.gain_ratio:.1%}" if best.gain_ratio > 0 else "promises nothing"
    return f"{fact}; {step} {gain}."
