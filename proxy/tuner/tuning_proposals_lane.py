"""Steps of a model's lane: where batches go, how long they wait for company, how many requests may be in it. Pure.

    placement   instances that differ in speed (by DIFFERENT_RATIO) ask for the one that looks at response times
    delay       with g between arrivals and an execution of α + β·b, waiting for one more pays while g < (α − β) / 2
                (the rule by which batches wait, proxy.scheduler.batching). Then a delay of α − β lets them wait for
                several: that rule ends the wait where it does not pay any more, the delay only bounds it
    limit       where more arrives than is carried, a shorter queue gives the same answers sooner: what fills all
                batches twice suffices; where nobody waits, a limit that refuses is loosened

Rules: what the measurements do not speak for is not proposed.
"""

from __future__ import annotations

from proxy.core.policies import Knob, Placement
from proxy.core.words import say
from proxy.tuner.knobs import LEAST_LIMIT, delay_near, shown
from proxy.tuner.tuning_estimates import Present
from proxy.tuner.tuning_view import Aim, Expectation, Proposal, Why
from proxy.tuner.tuning_words import Said, best_of, expected

# Slowest over fastest instance from which their speeds count as different.
DIFFERENT_RATIO = 1.3
# Busy share below which company is too rare to wait for.
LEAST_BUSY = 0.2
# The most that waiting for company is hoped to give.
MOST_COMPANY_GAIN = 0.25
# Lost requests from which the lane counts as overloaded, and wait over service from which its queue counts as long.
OVERLOADED_LOST = 0.01
LONG_QUEUE = 2.0
# Busy share below which a limit refuses without need.
IDLE_ENOUGH = 0.9


def placement(present: Present) -> Said:
    """The one that looks at response times, where instances differ."""
    view = present.view
    times = [ms for ms in view.instance_service_ms if ms > 0]
    if len(times) < 2:
        return [], say("One instance: there is nothing to choose.")
    ratio = max(times) / min(times)
    fact = say(
        "the slowest of %(count)s instances takes %(ratio)s times as long as the fastest",
        count=len(times),
        ratio=f"{ratio:.1f}",
    )
    if ratio < DIFFERENT_RATIO:
        return [], say("%(capital)s: all are alike.", capital=fact)
    mean_ms = sum(times) / len(times)
    gain = min(1 - mean_ms / max(times), 0.5)
    name = f"p{view.goal.quantile}_ms"
    measured_ms = present.window.quantile_ms(view.goal.quantile) or 0.0
    found = []
    for number, choice in enumerate((Placement.LEAST_RESPONSE_TIME, Placement.POWER_OF_TWO_CHOICES)):
        if choice.value == view.settings.placement or view.settings.placement == Placement.LEAST_RESPONSE_TIME.value:
            continue
        if choice.value in view.bounds.placement:
            expectation = Expectation(name, measured_ms, measured_ms * (1 - gain), True, fact)
            told = say(
                "%(expected)s because %(fact)s and need not set the tail.", expected=expected(expectation), fact=fact
            )
            found.append(
                Proposal(
                    Knob.PLACEMENT,
                    view.settings.placement,
                    choice.value,
                    Why.INSTANCES_DIFFER,
                    told,
                    expectation,
                    Aim.BETTER,
                    gain * (1 - 0.1 * number),
                    evidence={"slowest_over_fastest": ratio},
                )
            )
    return found, best_of(found, fact)


def delay(present: Present) -> Said:
    """The time within which waiting for others can pay, or none where it does not."""
    view, window, line = present.view, present.window, present.fit.line
    arrivals = max(window.crowded_per_s, present.fit.load.arrivals_per_s)
    delay_ms = view.settings.max_queue_delay_ms
    gap_ms = 1_000 / arrivals if arrivals else float("inf")
    row_ms = line.beta_s * present.fit.load.rows_per_request * 1_000
    worth_ms = (line.alpha_s * 1_000 - row_ms) / 2
    half_empty = window.half_empty_ratio(view.settings.max_batch_rows) or 0.0
    fact = say(
        "%(line_words)s, where most requests come there is one each %(gap_ms)s ms, "
        "and %(half_empty)s of batches leave half empty",
        line_words=present.line_words,
        gap_ms=f"{gap_ms:.2f}",
        half_empty=f"{half_empty:.0%}",
    )
    pays = gap_ms < worth_ms and window.busy_ratio >= LEAST_BUSY
    if not pays:
        if delay_ms <= 0:
            return [], say("Waiting for company would not pay: %(fact)s.", fact=fact)
        words = say(
            "waiting for one more pays only below %(worth_ms)s ms; %(fact)s",
            worth_ms=f"{max(worth_ms, 0):.2f}",
            fact=fact,
        )
        return _moved_delay(present, 0.0, Why.WAITING_DOES_NOT_PAY, words, 0.005, Aim.CHEAPER)
    wanted_ms = delay_near(2 * worth_ms)
    if delay_ms >= wanted_ms / 2 or not window.mean_ms:
        return [], say(
            "%(shown)s let batches wait as long as it pays (%(value)s ms).",
            shown=shown(Knob.QUEUE_DELAY, delay_ms),
            value=f"{2 * worth_ms:.1f}",
        )
    # Waiting happens where one instance is idle: neither when all are busy nor when nothing comes.
    share = 4 * window.busy_ratio * max(1 - window.busy_ratio, 0.0)
    saved_ms = (line.alpha_s * 1_000 - row_ms - 2 * gap_ms) * share
    gain = min(max(saved_ms / window.mean_ms, 0.0), MOST_COMPANY_GAIN)
    words = say("%(fact)s: waiting for one more pays below %(worth_ms)s ms", fact=fact, worth_ms=f"{worth_ms:.1f}")
    return _moved_delay(present, wanted_ms, Why.COMPANY_PAYS, words, gain, Aim.BETTER)


def _moved_delay(present: Present, to_ms: float, why: Why, words: str, gain: float, aim: Aim) -> Said:
    view = present.view
    value = view.bounds.clamped(Knob.QUEUE_DELAY, to_ms)
    if value == view.settings.max_queue_delay_ms:
        return [], say("Bounds leave no other delay; %(words)s.", words=words)
    name = f"p{view.goal.quantile}_ms"
    measured_ms = present.window.quantile_ms(view.goal.quantile) or 0.0
    expectation = Expectation(name, measured_ms, measured_ms * (1 - gain), True, words)
    told = say("%(expected)s because %(words)s.", expected=expected(expectation), words=words)
    evidence = {"alpha_ms": present.fit.line.alpha_s * 1_000, "beta_ms": present.fit.line.beta_s * 1_000}
    old = view.settings.max_queue_delay_ms
    found = [Proposal(Knob.QUEUE_DELAY, old, value, why, told, expectation, aim, gain, evidence=evidence)]
    return found, best_of(found, words)


def concurrency(present: Present) -> Said:
    """A limit where more comes than is carried, none where it refuses without need."""
    view, window = present.view, present.window
    limit = view.settings.concurrency_limit
    lost = window.lost_ratio
    waits = (window.queue_mean_ms or 0.0) / window.compute_mean_ms if window.compute_mean_ms else 0.0
    fact = say(
        "%(lost)s are refused or fail and a request waits %(waits)s times what it runs",
        lost=f"{lost:.1%}",
        waits=f"{waits:.1f}",
    )
    if limit and lost > OVERLOADED_LOST and window.busy_ratio < IDLE_ENOUGH:
        wanted, why = _loosened(present, limit), Why.LIMIT_REFUSES
        expectation = Expectation("lost_ratio", lost, lost / 2, True, fact)
        words = say("the limit refuses while instances are %(busy_ratio)s busy", busy_ratio=f"{window.busy_ratio:.0%}")
        gain = min(5 * lost, 0.5)
    elif lost > OVERLOADED_LOST and waits > LONG_QUEUE:
        suffices = max(2 * view.settings.max_batch_rows * max(round(window.instances), 1), LEAST_LIMIT)
        if limit and limit <= suffices:
            return [], say(
                "%(capital)s; %(limit)s in the lane fill all batches twice, which suffices.",
                capital=fact,
                limit=limit,
            )
        wanted, why = suffices, Why.QUEUE_TOO_LONG
        measured_ms = window.quantile_ms(view.goal.quantile) or 0.0
        after_ms = min(measured_ms, 3 * (window.compute_mean_ms or measured_ms))
        expectation = Expectation(f"p{view.goal.quantile}_ms", measured_ms, after_ms, True, fact)
        words = say("more comes than is carried, and a shorter queue gives the same answers sooner")
        gain = min(1 - after_ms / measured_ms, 0.5) if measured_ms else 0.0
    else:
        return [], say("%(capital)s: nothing for a limit to do.", capital=fact)
    value = int(view.bounds.clamped(Knob.CONCURRENCY, wanted)) if wanted else 0
    if value == limit:
        return [], say("%(capital)s; the bounds leave no other limit.", capital=fact)
    told = say("%(expected)s because %(words)s (%(fact)s).", expected=expected(expectation), words=words, fact=fact)
    found = [Proposal(Knob.CONCURRENCY, limit, value, why, told, expectation, Aim.BETTER, gain)]
    return found, best_of(found, fact)


def _loosened(present: Present, limit: int) -> int:
    """Twice the limit; none where that would be more than the policy's bound."""
    high = present.view.bounds.range_of(Knob.CONCURRENCY)[1]
    return 2 * limit if 2 * limit <= high else 0
