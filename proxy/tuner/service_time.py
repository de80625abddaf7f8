"""Service time of an execution by its rows, S(b) = α + β·b, fitted to measured seconds. Pure.

Least squares over seconds weighted by their executions: each second gives its mean rows and mean time an execution.
Rules: β is not below zero and the line not below zero at b = 0; where batch sizes hardly differed, there is no slope to
be known, and S is the mean.
Source: BentoML's dispatcher and Clipper fit the same line (PROTOCOLS section 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# Spread of batch sizes (variance, rows²) below which a slope means nothing.
LEAST_SPREAD = 0.25
# Points without which a scatter says nothing.
LEAST_POINTS = 8


@dataclass(frozen=True, slots=True)
class ServiceTime:
    """α seconds an execution and β seconds a row more; `rows` is the mean batch that was measured."""

    alpha_s: float
    beta_s: float
    rows: float

    def of(self, rows: float) -> float:
        """Seconds that an execution of `rows` takes."""
        return self.alpha_s + self.beta_s * rows


def fit_with_prior(points: Sequence[tuple[float, float, float]]) -> ServiceTime | None:
    """The same where batches hardly differ: what the points' scatter tells of the slope, and else a guess.

    The guess is that half of an execution's time is its rows', give or take as much; the measured slope counts against
    it by the inverse of its squared error. Seconds of a steady load differ by fractions of a row, but over hundreds of
    executions each that tells the slope; where batches are all full, only the guess is left.
    """
    weight = sum(executions for executions, _, _ in points)
    if not weight:
        return None
    mean_rows = sum(executions * rows for executions, rows, _ in points) / weight
    mean_s = sum(executions * seconds for executions, _, seconds in points) / weight
    guess = beta = mean_s / mean_rows / 2
    spread = sum(executions * (rows - mean_rows) ** 2 for executions, rows, _ in points)
    if len(points) >= LEAST_POINTS and spread > 0 and guess > 0:
        slope = sum(e * (rows - mean_rows) * (seconds - mean_s) for e, rows, seconds in points) / spread
        scatter = sum(e * (seconds - mean_s - slope * (rows - mean_rows)) ** 2 for e, rows, seconds in points)
        error_squared = scatter / (len(points) - 2) / spread
        trust = guess**2 / (guess**2 + error_squared)
        beta = min(max(trust * slope + (1 - trust) * guess, 0.0), mean_s / mean_rows)
    return ServiceTime(mean_s - beta * mean_rows, beta, mean_rows)


def fit(points: Iterable[tuple[float, float, float]]) -> ServiceTime | None:
    """The line through (executions, rows an execution, seconds an execution); None where nothing was executed."""
    weight = sum_rows = sum_s = sum_squares = sum_products = 0.0
    for executions, rows, seconds in points:
        weight += executions
        sum_rows += executions * rows
        sum_s += executions * seconds
        sum_squares += executions * rows * rows
        sum_products += executions * rows * seconds
    if not weight:
        return None
    mean_rows, mean_s = sum_rows / weight, sum_s / weight
    spread = sum_squares / weight - mean_rows * mean_rows
    beta = 0.0
    if spread > LEAST_SPREAD:
        beta = max((sum_products / weight - mean_rows * mean_s) / spread, 0.0)
        beta = min(beta, mean_s / mean_rows)
    return ServiceTime(mean_s - beta * mean_rows, beta, mean_rows)
