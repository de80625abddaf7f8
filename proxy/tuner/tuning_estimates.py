"""What other settings are expected to give: the live fit's prediction, scaled by how it errs at present. Pure.

    expected = measured × predicted with the change / predicted now

Rules: where the fit cannot carry the present load although it is carried, its error is not used as a factor; what is
not finite is no estimate (None).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from proxy.core.policies import Knob, Objective
from proxy.core.reports import CurvePoint
from proxy.core.units import BYTES_PER_MIB
from proxy.core.words import say
from proxy.tuner.batch_queue import Load, Served, predict
from proxy.tuner.capacity import Fit
from proxy.tuner.knobs import Settings
from proxy.tuner.objective import Figures, scored
from proxy.tuner.tuning_view import TuningView
from proxy.tuner.windows import Window


@dataclass(frozen=True, slots=True)
class Estimate:
    """Expected score (lower is better) and what it is made of."""

    score: float
    quantile_ms: float
    mean_ms: float
    utilisation: float
    rows: float
    hit_ratio: float


@dataclass(frozen=True, slots=True)
class Present:
    """The view, its last window and its fit: what estimates start from."""

    view: TuningView
    window: Window
    fit: Fit

    def estimate(self, knob: Knob, settings: Settings, hit_ratio: float | None = None) -> Estimate | None:
        """With other settings, and maybe another share of hits; scored as a trial of `knob` would be."""
        fit, window = self.fit, self.window
        hits = fit.load.hit_ratio if hit_ratio is None else min(max(hit_ratio, 0.0), 1.0)
        load = Load(
            window.arrivals_per_s * (1 - hits) if hit_ratio is not None else fit.load.arrivals_per_s,
            fit.load.rows_per_request,
            fit.load.gap_variation,
            hits,
        )
        moved = settings.instances - self.view.settings.instances
        instances = max(fit.served.instances + moved, 1)
        served = Served(instances, settings.max_batch_rows, settings.max_queue_delay_ms)
        percent = self.view.goal.quantile
        found = predict(fit.line, load, served, percent / 100)
        if not (isfinite(found.quantile_ms) and isfinite(found.mean_ms)):
            return self._at_the_limit(knob, settings, served, hits)
        quantile_ms, mean_ms = found.quantile_ms * fit.factor(percent), found.mean_ms * fit.mean_factor
        busy = min(found.utilisation * fit.busy_factor, 1.0)
        figures = Figures(
            instances=float(instances),
            mean_ms=mean_ms,
            quantile_ms=quantile_ms,
            busy_ratio=busy,
            throughput_per_s=max(window.arrivals_per_s, 1e-9),
        )
        value = scored(self.view.goal, settings, figures, knob)
        return Estimate(value, quantile_ms, mean_ms, busy, found.rows, hits) if value > 0 else None

    def _at_the_limit(self, knob: Knob, settings: Settings, served: Served, hits: float) -> Estimate | None:
        """More comes than is carried: what is answered is known then, under the objective that asks for it alone."""
        window, goal = self.window, self.view.goal
        quantile_ms, mean_ms = window.quantile_ms(goal.quantile), window.mean_ms
        if goal.objective is not Objective.HIGHEST_THROUGHPUT or hits >= 1 or quantile_ms is None or mean_ms is None:
            return None
        rows = max(float(served.max_rows), self.fit.load.rows_per_request)
        carried_per_s = served.instances * rows / self.fit.line.of(rows) / self.fit.load.rows_per_request / (1 - hits)
        figures = Figures(float(served.instances), mean_ms, quantile_ms, 1.0, carried_per_s)
        return Estimate(scored(goal, settings, figures, knob), quantile_ms, mean_ms, 1.0, rows, hits)

    def gain(self, knob: Knob, before: Estimate, after: Estimate) -> float:
        """By how much the score is expected to fall, in parts of it."""
        return 1 - after.score / before.score

    @property
    def line_words(self) -> str:
        """The fit in words."""
        line = self.fit.line
        return say(
            "service time fits %(alpha_s)s + %(beta_s)s·rows ms",
            alpha_s=f"{line.alpha_s * 1_000:.2f}",
            beta_s=f"{line.beta_s * 1_000:.2f}",
        )


def on_curve(curve: tuple[CurvePoint, ...], size_mib: float) -> CurvePoint | None:
    """The curve at a size, straight between its points; None without points or beyond the largest."""
    wanted = size_mib * BYTES_PER_MIB
    if not curve or wanted > curve[-1].size_bytes:
        return None
    before = CurvePoint(0, 0.0, 0.0)
    for point in curve:
        if point.size_bytes >= wanted:
            span = point.size_bytes - before.size_bytes
            part = (wanted - before.size_bytes) / span if span else 1.0
            return CurvePoint(
                round(wanted),
                before.hit_ratio + part * (point.hit_ratio - before.hit_ratio),
                before.saved_ms_per_s + part * (point.saved_ms_per_s - before.saved_ms_per_s),
            )
        before = point
    return None
