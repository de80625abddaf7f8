"""Predicts latency and utilisation of a model that runs what waits in batches, from its fitted service line. Pure.

    S(b)   = α + β·b                        an execution of b rows
    ρ      = λ·r·S(B) / (B·c)               load over what c instances carry with full batches of B rows; r a request
    b      = r·(m + e^−m), m = λ·S(b)/c     rows of an execution: what came during the last one, and at least one
                                            request: the mean of max(1, Poisson(m)), found by iteration
    P      = Erlang C of c servers at a = λ·r·S(b)/b     share of arrivals that find all busy
    wait   = residual + backlog
             residual: of c executions the first to end, P(> t) = P·(1 − t/S)^c
             backlog:  Allen–Cunneen on full batches, variability (Ca²·r/B + Cs²)/2, exponential tail; as likely as
                       more than a batch gathers during an execution: P(Poisson(m) > B/r), by the normal law
    answer = wait + S(b);  quantiles take a fuller batch, b + z·√(b·r)

Cache hits are answered in HIT_MS and never queue: the q-quantile of all is the model's at 1 − (1−q)/(1−hits).
Rules: a load that cannot be carried is infinite, never an exception. Assumes one shared queue, equal instances, rows of
requests that do not vary much; `proxy.tuner.capacity` shows the prediction beside the measurement.
Source: PROTOCOLS section 10; Bailey, "On queueing processes with bulk service", JRSS B 16 (1954), for the shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, inf, log, sqrt
from statistics import NormalDist

from proxy.tuner.queueing import erlang_c
from proxy.tuner.service_time import ServiceTime

# What a hit takes, milliseconds: look-up and answer (docs/caching.md).
HIT_MS = 0.1
# Squared variation of service times around the line: executions of one size differ by little.
SERVICE_VARIATION = 0.05
# Iterations of the batch size; it settles within a dozen.
ITERATIONS = 40
_NORMAL = {0.5: 0.0, 0.95: 1.645, 0.99: 2.326}


@dataclass(frozen=True, slots=True)
class Load:
    """What arrives at the model: requests a second (hits apart), rows each, Ca² of their gaps, hits of all requests."""

    arrivals_per_s: float
    rows_per_request: float = 1.0
    gap_variation: float = 1.0
    hit_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """How it is served: instances, the most rows of an execution, the longest wait for company."""

    instances: int
    max_rows: int
    delay_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is to be expected. `load_ratio` is ρ; `rows` the mean batch; latencies are of all, hits included."""

    load_ratio: float
    utilisation: float
    rows: float
    wait_ratio: float
    mean_ms: float
    quantile_ms: float


def predict(line: ServiceTime, load: Load, served: Served, quantile: float) -> Prediction:
    """Latencies (`quantile` 0.5, 0.95 or 0.99) and utilisation; infinite latencies where the load is not carried."""
    c, most, r = served.instances, max(float(served.max_rows), load.rows_per_request), load.rows_per_request
    arrived_rows = load.arrivals_per_s * r
    full_s = line.of(most)
    ratio = arrived_rows * full_s / (most * c) if c > 0 else inf
    if not ratio < 1:
        return Prediction(ratio, 1.0, most, 1.0, inf, inf)
    rows, busy = _batch(line, load, c, most)
    held_ms, rows = _company(line, load, served, rows, busy)
    service_s = line.of(rows)
    utilisation = min(arrived_rows * service_s / (rows * c), 1.0)
    offered_full = ratio * c
    variability = (load.gap_variation * r / most + SERVICE_VARIATION) / 2
    gathered = load.arrivals_per_s * service_s / c
    overflow = NormalDist(gathered, sqrt(gathered)).cdf(most / r) if gathered > 0 else 1.0
    backlog = erlang_c(c, offered_full) * min(2 * (1 - overflow), 1.0)
    scale_s = variability * full_s / (c - offered_full)
    mean_s = busy * service_s / (c + 1) + backlog * scale_s + service_s
    inner = 1 - (1 - quantile) / (1 - load.hit_ratio) if load.hit_ratio < 1 else 0.0
    if inner <= 0:
        quantile_ms = HIT_MS
    else:
        fuller = min(rows + _NORMAL.get(quantile, 2.326) * sqrt(rows * r), most)
        residual_s = service_s * (1 - ((1 - inner) / busy) ** (1 / c)) if busy > 1 - inner else 0.0
        tail_s = max(0.0, scale_s * log(backlog / (1 - inner))) if backlog > 0 else 0.0
        quantile_ms = (residual_s + tail_s + line.of(fuller)) * 1_000 + held_ms
    mean_ms = load.hit_ratio * HIT_MS + (1 - load.hit_ratio) * (mean_s * 1_000 + held_ms / 2)
    return Prediction(ratio, utilisation, rows, busy, mean_ms, quantile_ms)


def _batch(line: ServiceTime, load: Load, instances: int, most: float) -> tuple[float, float]:
    """(Mean rows of an execution, share of arrivals that find all busy)."""
    r = load.rows_per_request
    rows = r
    for _ in range(ITERATIONS):
        gathered = load.arrivals_per_s * line.of(rows) / instances
        rows = min(r * (gathered + exp(-gathered)), most)
    return rows, erlang_c(instances, load.arrivals_per_s * r * line.of(rows) / rows)


def _company(line: ServiceTime, load: Load, served: Served, rows: float, busy: float) -> tuple[float, float]:
    """(Wait for company in ms, rows of an execution with it), as the batching rule does (proxy.scheduler.batching).

    It waits for the next arrival while the expected gap is below (α − n·β) / (n + 1), and only with one idle instance.
    """
    if served.delay_ms <= 0 or load.arrivals_per_s <= 0:
        return 0.0, rows
    gap_s = 1 / load.arrivals_per_s
    worth = (line.alpha_s - gap_s) / (gap_s + line.beta_s * load.rows_per_request)
    wanted = min(max(worth, 1.0) * load.rows_per_request, served.max_rows)
    if wanted <= rows:
        return 0.0, rows
    idle = 1 - busy if served.instances == 1 else max(busy * (1 - busy), 0.0)
    held_ms = min(served.delay_ms, (wanted - rows) / load.rows_per_request * gap_s * 1_000)
    gained = held_ms / 1_000 / gap_s * load.rows_per_request
    return idle * held_ms, min(rows + idle * gained, float(served.max_rows))


def with_instances(served: Served, instances: int) -> Served:
    """The same with another number of instances."""
    return replace(served, instances=instances)
