"""When a caller that is refused should come back: no sooner than it helps, and not all at once. Pure."""

from __future__ import annotations

from proxy.core.units import NS_PER_MS, NS_PER_S

# Longest hint given. Larger: callers stay away longer after a burst that is over sooner.
LONGEST_RETRY_NS = 60 * NS_PER_S
# Shortest hint given. Smaller: callers return before anything can have changed.
SHORTEST_RETRY_NS = 10 * NS_PER_MS
# What chance adds at most to a hint, beside half of it. A header carries whole seconds, so less would spread nobody.
RETRY_SPREAD_NS = NS_PER_S


def spread_hint_ns(least_ns: int, draw_ratio: float) -> int:
    """Between `least_ns` and one and a half times of it and a second more, within the shortest and longest hint.

    `draw_ratio`: a number drawn from [0, 1), so that those refused together come apart.
    """
    spread_ns = int(draw_ratio * (least_ns // 2 + RETRY_SPREAD_NS))
    return min(max(least_ns + spread_ns, SHORTEST_RETRY_NS), LONGEST_RETRY_NS)
