"""Which steps promise a better score, each with what it is expected to move, in numbers and words. Pure.

For the knobs of batching and of the number of instances the expectation is a prediction from the live fit
(proxy.tuner.batch_queue), scaled by how the present prediction relates to what was measured.
Rules: one knob a proposal; a knob whose mode is off is not looked at; what cannot be predicted is not proposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from proxy.core.policies import Knob, TuningMode
from proxy.tuner.batch_queue import Prediction, Served, predict
from proxy.tuner.capacity import Fit, fit_from
from proxy.tuner.knobs import Settings, steps
from proxy.tuner.objective import scored
from proxy.tuner.tuning_view import Aim, Expectation, Proposal, TuningView, Why
from proxy.tuner.windows import Window

PREDICTED = (Knob.BATCH_ROWS, Knob.QUEUE_DELAY, Knob.INSTANCES)


def propose(view: TuningView, window: Window) -> tuple[list[Proposal], Mapping[Knob, str]]:
    """Every step that promises something, and what there is to say of each knob."""
    told: dict[Knob, str] = {}
    found: list[Proposal] = []
    fit = fit_from(window, view.settings)
    for knob in Knob:
        if view.mode(knob) is TuningMode.OFF:
            told[knob] = "Off."
        elif knob is Knob.INSTANCES and view.instance_rule is not None:
            told[knob] = view.instance_rule
        elif knob in PREDICTED:
            found += _predicted(view, window, fit, knob, told)
    return found, told


def _predicted(view: TuningView, window: Window, fit: Fit | None, knob: Knob, told: dict[Knob, str]) -> list[Proposal]:
    if fit is None:
        told[knob] = "Nothing was executed, so nothing can be predicted."
        return []
    now = _score(view, window, fit, view.settings)
    found = []
    for value in steps(knob, view.settings.of(knob), view.bounds):
        settings = view.settings.moved(knob, value)
        after = _score(view, window, fit, settings)
        if now is None or after is None:
            continue
        gain = 1 - after[0] / now[0]
        words = (
            f"service time fits {fit.line.alpha_s * 1_000:.1f} + {fit.line.beta_s * 1_000:.2f}·rows ms at "
            f"{fit.load.arrivals_per_s:.0f} requests/s"
        )
        metric = f"p{view.goal.quantile}_ms"
        expectation = Expectation(metric, now[1], after[1], True, words)
        why = Why.EXECUTIONS_TOO_LONG if isinstance(value, int | float) else Why.INSTANCES_DIFFER
        found.append(Proposal(knob, view.settings.of(knob), value, why, words, expectation, Aim.BETTER, gain))
    best = max((one.gain_ratio for one in found), default=0.0)
    told[knob] = f"The best step promises {best:.0%}." if found else "Nothing can be predicted."
    return found


def _score(view: TuningView, window: Window, fit: Fit, settings: Settings) -> tuple[float, float] | None:
    """(Score, quantile in ms) that these settings are expected to have; None where that is not finite."""
    instances = settings.instances if settings.instances != view.settings.instances else round(window.instances)
    served = Served(max(instances, 1), settings.max_batch_rows, settings.max_queue_delay_ms)
    found: Prediction = predict(fit.line, fit.load, served, view.goal.quantile / 100)
    if not isfinite(found.quantile_ms):
        return None
    quantile_ms = found.quantile_ms * fit.factor(view.goal.quantile)
    value = scored(
        view.goal,
        settings,
        instances=instances,
        mean_ms=found.mean_ms * fit.mean_factor,
        quantile_ms=quantile_ms,
        busy_s_per_answer=found.utilisation / max(window.throughput_per_s, 1e-9),
    )
    return (value, quantile_ms) if value > 0 else None
