"""Steps of a model's cache: its size from the miss-ratio curve, its eviction order from ghost caches. Pure.

    grow     while the objective's score, in which memory counts, is expected to fall by what the curve says of hits
    shrink   where, besides, half of it saves less model time a second than it costs (MiB / MIB_PER_INSTANCE instances
             are so many seconds of it); to the lowest bound at once where the curve says that nothing hits
    eviction another order is tried where ghost caches (proxy.cache.ghost_caches) say that it saves more model time

Rules: without a curve nothing is proposed; nor while the cache is off, bypassed or probing; growth only of a cache that
is full.
Source: PROTOCOLS section 11; docs/caching.md compares the policies on the same traces.
"""

from __future__ import annotations

from proxy.core.policies import Knob, Objective
from proxy.core.reports import CacheReport, CurvePoint, OrderEstimate
from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import joined, say
from proxy.tuner.knobs import Value, shown, steps
from proxy.tuner.objective import MIB_PER_INSTANCE
from proxy.tuner.trial import settle_from
from proxy.tuner.tuning_estimates import Estimate, Present, on_curve
from proxy.tuner.tuning_view import MOST_SETTLE_S, Aim, Expectation, Proposal, Why
from proxy.tuner.tuning_words import Said, best_of

# A cache that holds less of its bound gains nothing by more.
FULL_RATIO = 0.85
# Share of hits below which the cache is of no use, so that halving it step by step would only take longer.
USEFUL_HITS = 0.005

# How often a cache is filled anew until another order has made it its own. Smaller: judged before it shows.
ORDER_TURNS = 2


def size(present: Present) -> Said:
    """Half or twice the memory, by what the curve says that this saves and what it costs."""
    cache = present.view.cache
    held = _held(cache)
    if cache is None or held is not None:
        return [], held or ""
    mib = present.view.settings.cache_max_mib
    here = on_curve(cache.curve, mib)
    found = []
    for value in _sizes(present, mib, here):
        there = on_curve(cache.curve, float(value)) if isinstance(value, int) else None
        if here is None or there is None or not isinstance(value, int):
            continue
        if value > mib and cache.bytes < FULL_RATIO * cache.max_bytes:
            continue
        proposal = _resized(present, cache, here, there, value)
        if proposal is not None:
            found.append(proposal)
    fact = (
        say(
            "%(mib)s MiB save %(saved_ms_per_s)s ms/s of model time by the curve",
            mib=mib,
            saved_ms_per_s=f"{here.saved_ms_per_s:.0f}",
        )
        if here
        else say("the curve does not reach")
    )
    return found, best_of(found, fact)


def eviction(present: Present) -> Said:
    """Another order of eviction, where ghost caches say that it would save more model time."""
    view = present.view
    cache = view.cache
    held = _held(cache)
    if cache is None or held is not None:
        return [], held or ""
    mib = view.settings.cache_max_mib
    by_order = {one.eviction: one for one in cache.orders}
    here, now_order = on_curve(cache.curve, mib), by_order.get(view.settings.cache_eviction)
    if here is None or now_order is None:
        return [], say("Too few look-ups yet to compare the orders of eviction.")
    if cache.bytes < FULL_RATIO * cache.max_bytes:
        return [], say(
            "%(bytes)s of %(mib)s MiB are used: hardly anything is thrown out.",
            bytes=f"{cache.bytes / BYTES_PER_MIB:.0f}",
            mib=mib,
        )
    best = max(by_order.values(), key=lambda one: one.saved_ms_per_s)
    fact = (
        joined(", ", (_would(now_order), _would(best)))
        if best is not now_order
        else say("%(would)s, most of all", would=_would(now_order))
    )
    found = [
        proposal
        for order in by_order.values()
        if order.eviction in view.bounds.cache_eviction and order is not now_order
        if (proposal := _reordered(present, cache, here, now_order, order)) is not None
    ]
    return found, best_of(found, fact)


def _reordered(
    present: Present, cache: CacheReport, here: CurvePoint, now_order: OrderEstimate, order: OrderEstimate
) -> Proposal | None:
    """From the order in force to another; None where it would not save more."""
    if order.saved_ms_per_s <= now_order.saved_ms_per_s:
        return None
    settings, hits = present.view.settings, present.fit.load.hit_ratio
    # Hits of equal worth: an order may save more model time by other hits than by more of them.
    worth = hits * order.saved_ms_per_s / now_order.saved_ms_per_s if now_order.saved_ms_per_s else order.hit_ratio
    now = present.estimate(Knob.CACHE_POLICY, settings)
    after = present.estimate(Knob.CACHE_POLICY, settings, min(worth, 1.0))
    if after is None:
        return None
    words = say(
        "in ghost caches of a sample of the keys %(name)s would have hit %(hit_ratio)s where %(name_2)s hit "
        "%(hit_ratio_2)s, and saved %(saved_ms_per_s)s ms of model time a second instead of %(saved_ms_per_s_2)s",
        name=_name(order),
        hit_ratio=f"{order.hit_ratio:.0%}",
        name_2=_name(now_order),
        hit_ratio_2=f"{now_order.hit_ratio:.0%}",
        saved_ms_per_s=f"{order.saved_ms_per_s:.0f}",
        saved_ms_per_s_2=f"{now_order.saved_ms_per_s:.0f}",
    )
    hits_then = min(max(hits + order.hit_ratio - now_order.hit_ratio, 0.0), 1.0)
    return Proposal(
        Knob.CACHE_POLICY,
        settings.cache_eviction,
        order.eviction,
        Why.EVICTION_COMPARED,
        say(
            "Hits %(hits)s → %(hits_then)s because %(words)s.",
            hits=f"{hits:.0%}",
            hits_then=f"{hits_then:.0%}",
            words=words,
        ),
        Expectation("hits_ratio", hits, hits_then, False, words),
        Aim.BETTER,
        present.gain(Knob.CACHE_POLICY, now, after) if now is not None else 0.5,
        _settle_s(cache, present, ORDER_TURNS * cache.max_bytes),
        _mix(here, settings.cache_max_mib),
    )


def _name(order: OrderEstimate) -> str:
    return shown(Knob.CACHE_POLICY, order.eviction)


def _would(order: OrderEstimate) -> str:
    return say(
        "%(name)s would hit %(hit_ratio)s and save %(saved_ms_per_s)s ms/s of model time",
        name=_name(order),
        hit_ratio=f"{order.hit_ratio:.0%}",
        saved_ms_per_s=f"{order.saved_ms_per_s:.0f}",
    )


def _held(cache: CacheReport | None) -> str | None:
    if cache is None:
        return say("There is no cache, or nothing is known of it.")
    if cache.state != "on":
        return say("The cache is %(state)s; it is left alone.", state=cache.state)
    if not cache.curve:
        return say("Too few look-ups yet for a miss-ratio curve.")
    return None


def _resized(present: Present, cache: CacheReport, here: CurvePoint, there: CurvePoint, value: int) -> Proposal | None:
    view = present.view
    mib = view.settings.cache_max_mib
    hits = present.fit.load.hit_ratio
    hits_then = min(max(hits + there.hit_ratio - here.hit_ratio, 0.0), 1.0)
    now = present.estimate(Knob.CACHE_SIZE, view.settings)
    after = present.estimate(Knob.CACHE_SIZE, view.settings.moved(Knob.CACHE_SIZE, value), hits_then)
    if after is None:
        return None
    saves_ms = there.saved_ms_per_s - here.saved_ms_per_s
    costs_ms = (value - mib) / MIB_PER_INSTANCE * 1_000
    grows = value > mib
    if saves_ms <= costs_ms and (now is None or not grows):  # of a smaller one: loses more than it costs
        return None
    gain = present.gain(Knob.CACHE_SIZE, now, after) if now is not None else 0.5
    if gain <= 0:
        return None
    if grows:
        words = say(
            "the next %(value)s MiB save %(saves_ms)s ms of model time a second by the miss-ratio curve",
            value=value - mib,
            saves_ms=f"{saves_ms:.0f}",
        )
        words += _worth(present, now, after, costs_ms)
        expectation = Expectation("hits_ratio", hits, hits_then, False, words)
        told = say(
            "Hits %(hits)s → %(hits_then)s because %(words)s.",
            hits=f"{hits:.0%}",
            hits_then=f"{hits_then:.0%}",
            words=words,
        )
    else:
        words = say(
            "the last %(mib)s MiB save only %(value)s ms of model time a second by the miss-ratio curve, while their "
            "memory counts for %(value_2)s ms (%(instance_mib)s MiB count as much as one instance)",
            mib=mib - value,
            value=f"{-saves_ms:.0f}",
            value_2=f"{-costs_ms:.0f}",
            instance_mib=MIB_PER_INSTANCE,
        )
        expectation = Expectation("cache_mib", float(mib), float(value), True, words)
        told = say(
            "Cache %(mib)s → %(shown)s at hits of %(hits_then)s because %(words)s.",
            mib=mib,
            shown=shown(Knob.CACHE_SIZE, value),
            hits_then=f"{hits_then:.0%}",
            words=words,
        )
    return Proposal(
        Knob.CACHE_SIZE,
        mib,
        value,
        Why.CACHE_SAVES if grows else Why.CACHE_IDLE,
        told,
        expectation,
        Aim.BETTER if grows else Aim.CHEAPER,
        gain,
        _settle_s(cache, present, (value - mib) * BYTES_PER_MIB),
        _mix(here, mib),
    )


def _sizes(present: Present, mib: int, here: CurvePoint | None) -> tuple[Value, ...]:
    """Half and twice; the lowest bound, too, where nothing hits."""
    found = steps(Knob.CACHE_SIZE, mib, present.view.bounds)
    lowest = present.view.bounds.clamped(Knob.CACHE_SIZE, 0)
    if here is None or here.hit_ratio >= USEFUL_HITS or lowest >= mib:
        return found
    return tuple(dict.fromkeys((*found, lowest)))


def _worth(present: Present, now: Estimate | None, after: Estimate, costs_ms: float) -> str:
    """What speaks for more memory under the objective, beside what it saves."""
    if now is not None and present.view.goal.objective is Objective.LOWEST_LATENCY:
        return say(
            ", which is expected to take the mean from %(mean_ms)s to %(mean_ms_2)s ms",
            mean_ms=f"{now.mean_ms:.1f}",
            mean_ms_2=f"{after.mean_ms:.1f}",
        )
    return say(
        ", while their memory counts for %(costs_ms)s ms (%(instance_mib)s MiB count as much as one instance)",
        costs_ms=f"{costs_ms:.0f}",
        instance_mib=MIB_PER_INSTANCE,
    )


def _settle_s(cache: CacheReport, present: Present, bytes_to_fill: float) -> float:
    """Until what is added has filled, at the rate at which answers are put in."""
    entry_bytes = cache.bytes / cache.entries if cache.entries else 0.0
    misses_per_s = present.window.executed / present.window.length_s
    return settle_from(bytes_to_fill, entry_bytes * misses_per_s, MOST_SETTLE_S)


def _mix(here: CurvePoint, mib: int) -> dict[str, float | int | str | None]:
    """What the verdict compares to see that the mix has not changed meanwhile."""
    return {"mix_hit_ratio": here.hit_ratio, "mix_mib": mib, "saved_ms_per_s": here.saved_ms_per_s}
