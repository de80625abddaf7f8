"""Answers how many instances a rate and a latency need, from the live fit, and how far to trust the answer. Pure.

The smallest number of instances whose predicted quantile (proxy.tuner.batch_queue) is within the target and whose load
over full batches is within MOST_LOAD; the prediction for the present load stands beside what was measured, with the
error, and the answer's latencies are scaled by that error.
Rules: without a fit there is no answer, and the words say what is missing; beyond MOST_INSTANCES the answer is none.
Source: PROTOCOLS section 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from proxy.core.words import Words, joined, say
from proxy.tuner.batch_queue import Load, Prediction, Served, predict
from proxy.tuner.knobs import Settings
from proxy.tuner.service_time import ServiceTime
from proxy.tuner.windows import Window

# Counts looked at. Larger: answers for larger machines, more work a question.
MOST_INSTANCES = 256
# Share of what full batches carry that an answer may use: above it, waits grow without bound for any burst.
MOST_LOAD = 0.95
# Bounds of the factor by which measured latencies differ from predicted ones before the fit counts as wrong.
LEAST_FACTOR, MOST_FACTOR = 0.2, 5.0


@dataclass(frozen=True, slots=True)
class Fit:
    """The live fit: service line, rows a request, Ca², hits, and how measured latencies relate to predicted ones.

    `predicted_ms` is the prediction for the load measured, by quantile (95, 99); `measured_ms` beside it.
    `mean_factor` and `busy_factor` are measured / predicted, 1 where either is missing.
    """

    line: ServiceTime
    load: Load
    served: Served
    predicted_ms: dict[int, float]
    measured_ms: dict[int, float]
    utilisation: float
    measured_utilisation: float
    mean_factor: float
    busy_factor: float
    executions: int

    def factor(self, percent: int) -> float:
        """Measured / predicted quantile; 1 where either is missing or the fit is far off."""
        predicted, measured = self.predicted_ms.get(percent), self.measured_ms.get(percent)
        return _factor(measured, predicted)

    def error_ratio(self, percent: int) -> float | None:
        """(predicted − measured) / measured; None where one is missing."""
        predicted, measured = self.predicted_ms.get(percent), self.measured_ms.get(percent)
        return (predicted - measured) / measured if predicted is not None and measured else None


@dataclass(frozen=True, slots=True)
class CapacityAnswer:
    """`instances` (None: no answer, the words say why) for the rate asked, with what is predicted at it.

    `limited_by` says what limits: the target, the load, the service time (no number of instances meets the target),
    or the fit (nothing was measured). `present` has, by name, predicted and measured figures of the present load.
    """

    instances: int | None
    words: str
    limited_by: str
    rate_per_s: float
    target_ms: float
    quantile: int
    predicted_ms: dict[int, float]
    utilisation: float | None
    rows_per_execution: float | None
    present: dict[str, float | None]
    assumptions: tuple[str, ...]


def fit_from(window: Window | None, settings: Settings) -> Fit | None:
    """The live fit of a window; None where nothing was executed in it."""
    if window is None or window.line is None or window.rows_per_request is None or not window.instances:
        return None
    hits = window.cache_hits / window.requests if window.requests else 0.0
    load = Load(window.model_arrivals_per_s, window.rows_per_request, window.gap_variation or 1.0, hits)
    served = Served(max(round(window.instances), 1), settings.max_batch_rows, settings.max_queue_delay_ms)
    found = {percent: predict(window.line, load, served, percent / 100) for percent in (95, 99)}
    measured = {95: window.p95_ms, 99: window.p99_ms}
    return Fit(
        window.line,
        load,
        served,
        {percent: one.quantile_ms for percent, one in found.items() if isfinite(one.quantile_ms)},
        {percent: ms for percent, ms in measured.items() if ms is not None},
        found[99].utilisation,
        window.busy_ratio,
        _factor(window.mean_ms, found[99].mean_ms),
        _factor(window.busy_ratio, found[99].utilisation),
        window.executions,
    )


def capacity(
    fit: Fit | None, rate_per_s: float, target_ms: float, *, quantile: int = 99, max_instances: int = MOST_INSTANCES
) -> CapacityAnswer:
    """How many instances carry `rate_per_s` requests (hits included) with the quantile within `target_ms` (0: any).

    `max_instances` is the policy's: the answer may lie above it, and the words say so.
    """
    if fit is None:
        words = say(
            "Nothing was executed lately, so nothing is known of the service time: send some load, then ask again."
        )
        return _answer(None, None, words, "fit", rate_per_s, target_ms, quantile, None)
    if not (isfinite(rate_per_s) and isfinite(target_ms)) or rate_per_s <= 0 or target_ms < 0:
        words = say("Ask for a rate above 0 and a latency of 0 (any) or more.")
        return _answer(fit, None, words, "question", rate_per_s, target_ms, quantile, None)
    best_ms = fit.factor(quantile) * _at(fit, rate_per_s, MOST_INSTANCES, quantile).quantile_ms
    if target_ms and best_ms > target_ms:
        words = say(
            "No number of instances holds p%(quantile)s at %(target_ms)s ms: %(best_ms)s ms is what "
            "%(most)s would give, since an execution takes %(line)s.",
            quantile=quantile,
            target_ms=f"{target_ms:g}",
            best_ms=f"{best_ms:.1f}",
            most=MOST_INSTANCES,
            line=_line(fit.line),
        )
        return _answer(fit, None, words, "service time", rate_per_s, target_ms, quantile, None)
    limited_by = "load"
    for count in range(1, MOST_INSTANCES + 1):
        found = _at(fit, rate_per_s, count, quantile)
        if found.load_ratio > MOST_LOAD:
            continue
        found_ms = found.quantile_ms * fit.factor(quantile)
        if target_ms and found_ms > target_ms:
            limited_by = "target"
            continue
        sentences = [_found(count, rate_per_s, target_ms, quantile, found_ms, found)]
        sentences.append(_why(limited_by, count, fit, rate_per_s, quantile))
        if count > max_instances:
            sentences.append(say("The policy allows %(max_instances)s.", max_instances=max_instances))
        words = joined(" ", sentences)
        return _answer(fit, count, words, limited_by, rate_per_s, target_ms, quantile, found)
    words = say(
        "More than %(most)s instances would be needed for %(rate_per_s)s requests/s.",
        most=MOST_INSTANCES,
        rate_per_s=f"{rate_per_s:g}",
    )
    return _answer(fit, None, words, "load", rate_per_s, target_ms, quantile, None)


def _at(fit: Fit, rate_per_s: float, count: int, quantile: int) -> Prediction:
    hits = fit.load.hit_ratio
    load = Load(rate_per_s * (1 - hits), fit.load.rows_per_request, fit.load.gap_variation, hits)
    return predict(fit.line, load, Served(count, fit.served.max_rows, fit.served.delay_ms), quantile / 100)


def _found(count: int, rate_per_s: float, target_ms: float, quantile: int, found_ms: float, found: Prediction) -> Words:
    told = {
        "count": count,
        "rate_per_s": f"{rate_per_s:g}",
        "quantile": quantile,
        "found_ms": f"{found_ms:.1f}",
        "busy": f"{found.utilisation:.0%}",
        "rows": f"{found.rows:.1f}",
    }
    if not target_ms:
        return say(
            "%(count)s for %(rate_per_s)s requests/s: p%(quantile)s of %(found_ms)s ms, %(busy)s busy, "
            "%(rows)s rows an execution.",
            **told,
        )
    return say(
        "%(count)s for %(rate_per_s)s requests/s: p%(quantile)s of %(found_ms)s ms (target %(target_ms)s ms), "
        "%(busy)s busy, %(rows)s rows an execution.",
        target_ms=f"{target_ms:g}",
        **told,
    )


def _why(limited_by: str, count: int, fit: Fit, rate_per_s: float, quantile: int) -> Words:
    if count == 1:
        return say("One is enough.")
    fewer = _at(fit, rate_per_s, count - 1, quantile)
    if limited_by == "load":
        return say(
            "With %(fewer)s, the load would be %(load)s of what full batches carry.",
            fewer=count - 1,
            load=f"{fewer.load_ratio:.0%}",
        )
    fewer_ms = fewer.quantile_ms * fit.factor(quantile)
    return say(
        "With %(fewer)s, p%(quantile)s would be %(fewer_ms)s ms.",
        fewer=count - 1,
        quantile=quantile,
        fewer_ms=f"{fewer_ms:.1f}",
    )


def _answer(
    fit: Fit | None,
    count: int | None,
    words: str,
    limited_by: str,
    rate_per_s: float,
    target_ms: float,
    quantile: int,
    found: Prediction | None,
) -> CapacityAnswer:
    predicted: dict[int, float] = {}
    if fit is not None and count is not None:
        predicted = {
            percent: _at(fit, rate_per_s, count, percent).quantile_ms * fit.factor(percent) for percent in (95, 99)
        }
    return CapacityAnswer(
        count,
        words,
        limited_by,
        rate_per_s,
        target_ms,
        quantile,
        predicted,
        found.utilisation if found else None,
        found.rows if found else None,
        _present(fit),
        _assumptions(fit),
    )


def _present(fit: Fit | None) -> dict[str, float | None]:
    if fit is None:
        return {}
    present: dict[str, float | None] = {
        "arrivals_per_s": fit.load.arrivals_per_s,
        "hit_ratio": fit.load.hit_ratio,
        "instances": float(fit.served.instances),
        "predicted_utilisation": fit.utilisation,
        "measured_utilisation": fit.measured_utilisation,
    }
    for percent in (95, 99):
        present[f"predicted_p{percent}_ms"] = fit.predicted_ms.get(percent)
        present[f"measured_p{percent}_ms"] = fit.measured_ms.get(percent)
        present[f"error_ratio_p{percent}"] = fit.error_ratio(percent)
    return present


def _assumptions(fit: Fit | None) -> tuple[str, ...]:
    if fit is None:
        return ()
    takes = say(
        "An execution takes %(line)s, as fitted to %(executions)s executions with %(instances)s instances; "
        "more of them on the same cores may be slower.",
        line=_line(fit.line),
        executions=fit.executions,
        instances=fit.served.instances,
    )
    brings = say(
        "Requests bring %(rows)s rows each, gaps between them vary by Ca² = %(variation)s, "
        "and %(hits)s are answered from the cache.",
        rows=f"{fit.load.rows_per_request:.2f}",
        variation=f"{fit.load.gap_variation:.2f}",
        hits=f"{fit.load.hit_ratio:.0%}",
    )
    scaled = say(
        "One shared queue, equal instances; latencies are scaled by measured over predicted at the present load."
    )
    return takes, brings, scaled


def _line(line: ServiceTime) -> Words:
    return say("%(alpha)s + %(beta)s·rows ms", alpha=f"{line.alpha_s * 1_000:.2f}", beta=f"{line.beta_s * 1_000:.3f}")


def _factor(measured: float | None, predicted: float | None) -> float:
    if not measured or not predicted or not isfinite(predicted):
        return 1.0
    return min(max(measured / predicted, LEAST_FACTOR), MOST_FACTOR)
