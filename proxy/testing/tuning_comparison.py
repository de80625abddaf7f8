"""Tuning beside settings that stay: the best of a grid, and the defaults, on the same requests. One row a scenario."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log
from statistics import fmean

from proxy.testing.tuning_run import Part, Tuned, mean_score, static, tuned
from proxy.testing.tuning_scenarios import Scenario
from proxy.tuner.knobs import Settings

# Settings that are scored on the whole samples. Larger: surer of the best one, more time.
FINALISTS = 4


@dataclass(frozen=True, slots=True)
class Compared:
    """Scores (lower is better; several models: their geometric mean) of one scenario.

    `converged_after` decisions the last one that was kept was taken (of a steady scenario), `decisions` in all;
    `outside` counts settings beyond the bounds.
    """

    scenario: Scenario
    tuned: float
    best: float
    default: float
    best_settings: tuple[Settings, ...]
    tuned_settings: tuple[Settings, ...]
    converged_after: int
    converged_s: int
    decisions: int
    kept: int
    outside: int
    runs: tuple[Tuned, ...]

    @property
    def over_best(self) -> float:
        """Tuned over the best static score, less one: negative is better than it."""
        return self.tuned / self.best - 1

    @property
    def over_default(self) -> float:
        """The same over the defaults."""
        return self.tuned / self.default - 1


def compare(scenario: Scenario, seed: int = 1) -> Compared:
    """Run the scenario tuned, with the defaults, and with every setting of its grid."""
    runs = tuned(scenario.parts, scenario.seconds, cores=scenario.cores, seed=seed)
    found = _together([_score_of(run, scenario) for run in runs])
    default = _static(scenario, tuple(part.start for part in scenario.parts), seed)
    best, best_settings = best_static(scenario, seed)
    if default < best:
        best, best_settings = default, tuple(part.start for part in scenario.parts)
    last_s = max((at for run in runs for at in run.kept_at), default=0)
    return Compared(
        scenario,
        found,
        best,
        default,
        best_settings,
        tuple(run.model.settings for run in runs),
        max(sum(at <= last_s for at in run.begun_at) for run in runs),
        last_s,
        max(run.decisions for run in runs),
        sum(len(run.kept_at) for run in runs),
        sum(run.outside for run in runs),
        tuple(runs),
    )


def best_static(scenario: Scenario, seed: int = 1) -> tuple[float, tuple[Settings, ...]]:
    """The best of the grid: all are scored on a third of each sample, the FINALISTS best of those on all of it."""
    short = replace(
        scenario, samples=tuple((begin, begin + max((end - begin) // 3, 30)) for begin, end in scenario.samples)
    )
    first = sorted(
        ((_static(short, settings, seed), number, settings) for number, settings in enumerate(scenario.settings()))
    )
    last = [(_static(scenario, settings, seed), number, settings) for _, number, settings in first[:FINALISTS]]
    best, _, settings = min(last)
    return best, settings


def _score_of(run: Tuned, scenario: Scenario) -> float:
    first = next(at for at, second in enumerate(run.seconds) if second.at_unix_s > scenario.from_s)
    return mean_score(run.seconds[first:], lambda at: run.settings_at[first + at], run.part.goal)


def _static(scenario: Scenario, settings: tuple[Settings, ...], seed: int) -> float:
    parts: Sequence[Part] = scenario.parts
    scores = [
        static(parts, settings, begin, end, warm_s=scenario.warm_s, cores=scenario.cores, seed=seed)
        for begin, end in scenario.samples
    ]
    return _together([fmean(score[number] for score in scores) for number in range(len(parts))])


def _together(scores: Sequence[float]) -> float:
    return exp(fmean(log(score) for score in scores))
