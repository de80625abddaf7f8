"""What must not get worse by a change, however much it gains: lost requests, tails, the target, other models. Pure.

Place: asked by `proxy.tuner.trial` before it looks at the score.
"""

from __future__ import annotations

from proxy.core.policies import Knob, Objective
from proxy.core.words import say
from proxy.tuner.comparison import change_of
from proxy.tuner.knobs import Settings
from proxy.tuner.objective import Goal, breach
from proxy.tuner.tuning_view import WINDOW_S, TuningView
from proxy.tuner.windows import Window, between

# By how much a score may rise for a change that saves, and a tail above its target.
MOST_HARM = 0.02
# Most that lost requests may rise by, in parts of all; that throughput may fall by; that p99 may rise by.
MOST_LOST = 0.005
MOST_THROUGHPUT_LOSS = 0.03
MOST_TAIL_GROWTH = 1.3
# By how much another model on the machine may become slower at no gain; in all by this share of what the change gains;
# and ever.
MOST_NEIGHBOUR_HARM = 0.05
NEIGHBOURS_SHARE = 0.5
MOST_NEIGHBOUR_HARM_EVER = 0.2


def guard_hurt(before: Window, after: Window, goal: Goal) -> str | None:
    """Which guard got worse, in words; None if none did."""
    if after.lost_ratio > before.lost_ratio + MOST_LOST:
        return say(
            "failed and refused requests rose from %(lost_ratio)s to %(lost_ratio_2)s",
            lost_ratio=f"{before.lost_ratio:.1%}",
            lost_ratio_2=f"{after.lost_ratio:.1%}",
        )
    was, now = before.quantile_ms(goal.quantile), after.quantile_ms(goal.quantile)
    if was is not None and now is not None and breach(now, goal) > 0 and now > was * (1 + MOST_HARM):
        return say(
            "p%(quantile)s rose from %(was)s to %(now)s ms, above the target of %(target_ms)s ms",
            quantile=goal.quantile,
            was=f"{was:.1f}",
            now=f"{now:.1f}",
            target_ms=f"{goal.target_ms:g}",
        )
    if goal.objective is Objective.HIGHEST_THROUGHPUT:
        if was is not None and now is not None and now > MOST_TAIL_GROWTH * was:
            held = goal.target_ms and now <= goal.target_ms
            return (
                None
                if held
                else say(
                    "p%(quantile)s rose from %(was)s to %(now)s ms",
                    quantile=goal.quantile,
                    was=f"{was:.1f}",
                    now=f"{now:.1f}",
                )
            )
        return None
    share = (after.throughput_per_s / after.arrivals_per_s) if after.arrivals_per_s else 1.0
    share_before = (before.throughput_per_s / before.arrivals_per_s) if before.arrivals_per_s else 1.0
    if share < share_before - MOST_THROUGHPUT_LOSS:
        return say(
            "answers fell from %(share_before)s to %(share)s of what arrived",
            share_before=f"{share_before:.1%}",
            share=f"{share:.1%}",
        )
    return None


def neighbours_hurt(
    view: TuningView, applied_at_s: float, start_s: float, window_s: int = WINDOW_S, gained: float = 0.0
) -> str | None:
    """Which other model of the machine became surely slower, at equal load, by too much, in words; None if none did.

    `gained`: by how much the score surely fell, in parts of it; NEIGHBOURS_SHARE of that is what all may lose together.
    """
    lost: dict[str, float] = {}
    for name, seconds in view.neighbours.items():
        before = between(seconds, applied_at_s - window_s, applied_at_s)
        after = between(seconds, start_s, start_s + window_s)
        change = change_of(before, after, Settings(), Settings(), Goal(), Knob.INSTANCES)
        if change is not None and change.is_sure and change.ratio > MOST_NEIGHBOUR_HARM:
            lost[name] = change.ratio
    worst = max(lost, key=lost.__getitem__, default=None)
    if worst is None or (sum(lost.values()) <= NEIGHBOURS_SHARE * gained and lost[worst] <= MOST_NEIGHBOUR_HARM_EVER):
        return None
    return say("%(worst)s became %(value)s slower beside it", worst=worst, value=f"{lost[worst]:.0%}")
