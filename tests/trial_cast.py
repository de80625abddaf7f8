"""What tests of tuning's control plane share: a proposal, its verdict, and seconds of a model as they are kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from models_admin.models import Decision, MachineSample, MetricSample, Model, PolicyRevision, ScalingState
from models_admin.services import tuning_trials
from proxy.core.policies import Knob
from proxy.metrics import histogram
from proxy.tuner.tried import Outcome, Tried
from proxy.tuner.tuning_view import Expectation, Keep, Proposal, Undo, Verdict, Why

LOAD = 6
"""Bucket of some 64 requests a second."""


def proposal(knob: Knob = Knob.BATCH_ROWS, before: Any = 32, after: Any = 64, **changes: Any) -> Proposal:
    """To move one knob, with an expectation."""
    expected = Expectation("p99_ms", 31.0, 22.0, True, "p99 31 → 22 ms because service time fits 2.1 + 0.24·rows ms")
    return Proposal(
        knob, before, after, Why.BATCHES_FULL, "61 % of the batches leave full.", expected, gain_ratio=0.2, **changes
    )


def row(model: Model, one: Proposal | None = None, fence: int = 1) -> Decision:
    """The proposal as an unsaved row."""
    return tuning_trials.row_of(model, one or proposal(), load=LOAD, fence=fence)


def verdict(outcome: Outcome, now: datetime, one: Proposal | None = None) -> Keep | Undo:
    """What the trial of a proposal came to, without windows."""
    of = one or proposal()
    tried = Tried(of.knob, of.from_value, of.to_value, outcome, LOAD, now.timestamp(), "lowest_latency")
    said = Verdict(outcome, f"p99 31 → 30 ms: {outcome.value}.", None, None, tried)
    kind = Keep if outcome is Outcome.KEPT else Undo
    return kind(said, now.timestamp() + 10)


def let_time_pass(model: Model, now: datetime) -> None:
    """Let what was changed so far lie an hour back, so that the seconds before `now` compare with each other."""
    PolicyRevision.objects.update(at=now - timedelta(hours=1))
    ScalingState.objects.update(decided_at=now - timedelta(hours=1))
    Model.objects.filter(pk=model.pk).update(updated_at=now - timedelta(hours=1))


def measure(now: datetime, seconds: int = 60, *, name: str = "net", **fields: Any) -> None:
    """Write the seconds before `now` of all models together, of the host, and of one that answers 100 in 20 ms each."""
    values: dict[str, Any] = {
        "requests": 100,
        "executions": 50,
        "inferences": 100,
        "instances": 1,
        "busy_ratio": 0.5,
        "mean_ms": 20.0,
        "p50_ms": 20.0,
        "p95_ms": 20.0,
        "p99_ms": 20.0,
        "queue_mean_ms": 5.0,
        "compute_mean_ms": 10.0,
        "histogram": {str(histogram.index(20_000_000)): 100},
        "rows_by_bits": {"1": 50},
        **fields,
    }
    rows, hosts = [], []
    for back in range(1, seconds + 1):
        at = now - timedelta(seconds=back)
        rows += [MetricSample(model_name="", at=at), MetricSample(model_name=name, at=at, **values)]
        hosts.append(MachineSample(at=at, cpu_percent=10, memory_used_bytes=2**30, memory_total_bytes=2**33))
    MetricSample.objects.bulk_create(rows, ignore_conflicts=True)
    MachineSample.objects.bulk_create(hosts, ignore_conflicts=True)
