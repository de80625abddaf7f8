"""Tuning beside settings that stay: the best of a grid, and the defaults, on the same requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp, log
from statistics import fmean

from proxy.testing.tuning_run import Tuned, mean_score, static, tuned
from proxy.testing.tuning_scenarios import Scenario
from proxy.tuner.knobs import Settings

# Settings that are scored on the whole samples. Larger: surer of the best one, more time.
FINALISTS = 4
# What settings that stay run before they are scored, seconds: longer than any cache takes to fill.
WARM_S = 240
# Shortest sample of the first round, seconds.
LEAST_SAMPLE_S = 30

Several = tuple[Settings, ...]


@dataclass(frozen=True, slots=True)
class TunedSide:
    """What came of tuning. Scores: lower is better; of several models their geometric mean.

    `settings` as they were at the end; `converged_after` decisions, at `converged_s`, the last one that was kept was
    taken; `decisions` in all; `most_in_a_phase`: of those begun in one phase of a shifting scenario; `outside` counts
    settings beyond the bounds. `log` has (second, words) of each step of each model.
    """

    score: float
    settings: Several
    converged_after: int
    converged_s: int
    decisions: int
    most_in_a_phase: int
    kept: int
    outside: int
    log: tuple[tuple[tuple[int, str], ...], ...]


@dataclass(frozen=True, slots=True)
class StaticSide:
    """Scores of the defaults and of the best settings that stay, and how many were tried."""

    default: float
    best: float
    settings: Several
    tried: int


def tuned_side(scenario: Scenario, seed: int = 1) -> TunedSide:
    """Run the scenario tuned."""
    runs = tuned(scenario.parts, scenario.seconds, cores=scenario.cores, seed=seed)
    last_s = max((at for run in runs for at in run.kept_at), default=0)
    borders = (0, *scenario.shifts_s, scenario.seconds)
    phases = [sum(begin < at <= end for at in run.begun_at) for run in runs for begin, end in pairwise(borders)]
    return TunedSide(
        _together([_score_of(run, scenario) for run in runs]),
        tuple(run.model.settings for run in runs),
        max(sum(at <= last_s for at in run.begun_at) for run in runs),
        last_s,
        max(run.decisions for run in runs),
        max(phases),
        sum(len(run.kept_at) for run in runs),
        sum(run.outside for run in runs),
        tuple(tuple(run.log) for run in runs),
    )


def static_side(scenario: Scenario, seed: int = 1) -> StaticSide:
    """Score the defaults and the grid: all on a third of each sample, the FINALISTS best on all of it.

    The best one and the defaults are then scored on the same seconds as the tuned side, after WARM_S of their own.
    """
    start = tuple(part.start for part in scenario.parts)
    whole = replace(scenario, samples=((scenario.from_s, scenario.seconds),), warm_s=WARM_S)
    default = _static(whole, start, seed)
    thirds = tuple((begin, begin + max((end - begin) // 3, LEAST_SAMPLE_S)) for begin, end in scenario.samples)
    short = replace(scenario, samples=thirds)
    grid = list(scenario.settings())
    first = sorted((_static(short, settings, seed), number) for number, settings in enumerate(grid))
    last = [(_static(scenario, grid[number], seed), number) for _, number in first[:FINALISTS]]
    number = min(last)[1]
    best = _static(whole, grid[number], seed)
    if default <= best:
        return StaticSide(default, default, start, len(grid) + 1)
    return StaticSide(default, best, grid[number], len(grid) + 1)


def _score_of(run: Tuned, scenario: Scenario) -> float:
    first = next(at for at, second in enumerate(run.seconds) if second.at_unix_s > scenario.from_s)
    return mean_score(run.seconds[first:], lambda at: run.settings_at[first + at], run.part.goal)


def _static(scenario: Scenario, settings: Several, seed: int) -> float:
    scores = [
        static(scenario.parts, settings, begin, end, warm_s=scenario.warm_s, cores=scenario.cores, seed=seed)
        for begin, end in scenario.samples
    ]
    return _together([fmean(score[number] for score in scores) for number in range(len(scenario.parts))])


def _together(scores: Sequence[float]) -> float:
    return exp(fmean(log(score) for score in scores))
