"""Predicts how long an execution of b rows takes: S(b) = α + β·b, fitted to recent executions.

Least squares on exponentially decayed sums, so that one observation costs the same at any age. Where executions are
padded to certain sizes, b is the padded size: `padded` names them, ascending (empty: none).
Source: BentoML's dispatcher and Clipper fit the same line (PROTOCOLS section 8).
"""

from __future__ import annotations

# Weight that an execution keeps with each later one. Larger: smoother, slower to follow; 0.95 halves in 14 executions.
DECAY = 0.95
# Spread of batch sizes (variance, rows²) below which a slope means nothing.
LEAST_SPREAD = 0.25
# More rows than any batch holds.
UNBOUNDED_ROWS = 1 << 60


class LatencyModel:
    """Line through recent (rows, service time) points. All predictions are 0 before the first observation.

    `error_ns`: by how much executions missed the line, in the mean. One counts as no more than what it should have
    taken: a single one that took minutes says little of the next.
    """

    __slots__ = (
        "_error",
        "_rows",
        "_rows_squared",
        "_rows_times_service",
        "_service",
        "_weight",
        "alpha_ns",
        "beta_ns",
        "error_ns",
        "mean_ns",
        "mean_rows",
        "padded",
    )

    def __init__(self) -> None:
        self._weight = self._error = self._rows = self._service = self._rows_squared = self._rows_times_service = 0.0
        self.padded: tuple[int, ...] = ()
        self.alpha_ns = 0
        self.beta_ns = 0
        self.error_ns = 0
        self.mean_ns = 0
        self.mean_rows = 0

    def observe(self, rows: int, service_ns: int) -> None:
        """Take in one execution and fit again."""
        if self.padded:
            rows = padded_size(rows, self.padded)
        self._weight = self._weight * DECAY + 1
        self._rows = self._rows * DECAY + rows
        self._service = self._service * DECAY + service_ns
        self._rows_squared = self._rows_squared * DECAY + rows * rows
        self._rows_times_service = self._rows_times_service * DECAY + rows * service_ns
        mean_rows = self._rows / self._weight
        mean_ns = self._service / self._weight
        spread = self._rows_squared / self._weight - mean_rows * mean_rows
        beta = 0.0
        if spread > LEAST_SPREAD:
            beta = max((self._rows_times_service / self._weight - mean_rows * mean_ns) / spread, 0.0)
            beta = min(beta, mean_ns / mean_rows)  # a line below zero at b = 0 is noise
        self.mean_ns = int(mean_ns)
        self.mean_rows = int(mean_rows)
        self.beta_ns = int(beta)
        self.alpha_ns = int(mean_ns - beta * mean_rows)
        line_ns = self.alpha_ns + self.beta_ns * rows
        self._error = self._error * DECAY + min(abs(service_ns - line_ns), line_ns)
        self.error_ns = int(self._error / self._weight)

    def predict_ns(self, rows: int) -> int:
        """Predicted service time of an execution of `rows`, padding included."""
        return self.alpha_ns + self.beta_ns * (padded_size(rows, self.padded) if self.padded else rows)

    def rows_within(self, service_ns: int) -> int:
        """The most rows whose execution is predicted to take no longer than `service_ns`."""
        if service_ns < self.alpha_ns:
            return 0
        rows = (service_ns - self.alpha_ns) // self.beta_ns if self.beta_ns else UNBOUNDED_ROWS
        if not self.padded or rows >= self.padded[-1]:
            return rows
        return max((size for size in self.padded if size <= rows), default=0)


def padded_size(rows: int, sizes: tuple[int, ...]) -> int:
    """The smallest of `sizes` (ascending) that holds `rows`; `rows` itself where none does."""
    for size in sizes:
        if size >= rows:
            return size
    return rows
