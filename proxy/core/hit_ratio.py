"""What a hit ratio is, said once. Pure.

hit         answered from what is kept (here, or by another server's second level)
coalesced   answered by the execution of an identical request that was in flight: neither hit nor miss
miss        looked up, not found, and executed
hit ratio   hits / (hits + misses)
"""

from __future__ import annotations


def hit_ratio(hits: int, misses: int) -> float | None:
    """Hits of the look-ups that ended as a hit or a miss; None where there were none."""
    looked = hits + misses
    return hits / looked if looked else None
