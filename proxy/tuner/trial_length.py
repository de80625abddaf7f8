"""How long the windows before and after a change may be: longer where the first ones leave its verdict open. Pure.

    first    WINDOW_S each; enough for most changes
    longer   up to MOST_WINDOW_S each, once, where `Verdict.is_open`: too few requests, or a change that chance explains

Rules: both windows are equally long, so the one after is no longer than what lies before under the same settings and at
such a load; two looks at most, so that a change that is none is not measured until chance has its way.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.tuner.tuning_view import MOST_WINDOW_S, WINDOW_S, TuningView
from proxy.tuner.windows import MAX_AGE_S, TuningSecond, Window, between, window_from

# (lowest, highest) ratio of arrivals a second, and the difference of hit ratios, within which what lies further back
# still belongs to the window before.
LOAD_RANGE = (0.8, 1.25)
MOST_HIT_DRIFT = 0.05
# By how much the window before grows at once, seconds.
STEP_S = 15


def longer_s(view: TuningView, applied_at_s: float, now_s: float) -> int | None:
    """Length of the longer windows of a change that was applied then, seconds; None where there can be none."""
    if not view.seconds or view.seconds[-1].at_unix_s < now_s - MAX_AGE_S:
        return None
    length = calm_before_s(view.seconds, applied_at_s)
    return length if length > WINDOW_S else None


def calm_before_s(seconds: Sequence[TuningSecond], at_s: float) -> int:
    """How far back from then it was as in the last WINDOW_S before: between WINDOW_S and MOST_WINDOW_S, in STEP_S."""
    last = window_from(between(seconds, at_s - WINDOW_S, at_s))
    length = WINDOW_S
    while last is not None and length + STEP_S <= MOST_WINDOW_S:
        further = between(seconds, at_s - length - STEP_S, at_s - length - STEP_S + WINDOW_S)
        window = window_from(further)
        if len(further) < WINDOW_S or window is None or not _alike(window, last):
            break
        length += STEP_S
    return length


def _alike(one: Window, other: Window) -> bool:
    if not other.arrivals_per_s or one.instances != other.instances:
        return False
    hits, others = one.hit_ratio, other.hit_ratio
    if hits is not None and others is not None and abs(hits - others) > MOST_HIT_DRIFT:
        return False
    return LOAD_RANGE[0] <= one.arrivals_per_s / other.arrivals_per_s <= LOAD_RANGE[1]
