"""Tuning by the real control loop: two models under an unchanging load, before and after, in the same run.

The whole server with Celery's worker and beat; its instances wait instead of computing (bench/waiting_site), so that a
busy machine does not change what the load is. `repeats` is asked for inputs that repeat (Zipf) and has too small a
cache; `batches` is asked for inputs that never do and may put only a few requests into one execution. All knobs but the
number of instances are automatic, the objective of both is the lowest latency. Tuning is frozen while "before" and
"after" are measured: the same rates, the same mix, the other knobs.

The last section of docs/tuning.md. The exit status is 0 also where tuning did not help: that is a finding.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from statistics import fmean
from typing import Any

from bench import registry
from bench.harness import ROOT, machine, write_result
from bench.open_loop import Sent, arrivals, drive, generator_late_ms, outcomes, quantile_ms
from bench.served import Served, served, upload
from bench.waiting_site import COMMAND
from proxy.core.policies import Knob
from proxy.testing.clients import Clients, Reply, inference

BODY = "    return x"
TIMEOUT_S = 5.0
WARM_S = 25.0
"""Of the load before anything is measured: the small cache is full, and what goes on settles."""
SETTLE_S = 5.0
AUTOMATIC = {knob.value: "off" if knob is Knob.INSTANCES else "automatic" for knob in Knob}
KNOBS = [knob.value for knob in Knob]
Result = dict[str, Any]


@dataclass(slots=True)
class Loaded:
    """One model and its load: `rate_per_s` requests of `rows` rows, each execution `execution_us` long."""

    name: str
    rate_per_s: float
    rows: int
    execution_us: float
    weights: Sequence[float] = ()
    seed: int = 0
    asked: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def next_input(self) -> int:
        """Which input is asked for next: one that repeats by its weight, or one that never came before."""
        self.asked += 1
        if not self.weights:
            return self.asked
        return bisect_left(self.weights, self.chance.random() * self.weights[-1])

    def make(self, key: str) -> Any:
        """Makes requests for `drive`, each with a check of its answer."""

        def request(_index: int) -> tuple[bytes, Any]:
            number = self.next_input()
            rows = [[self.execution_us, float(number), float(row), 0.5] for row in range(self.rows)]
            parameters = {"timeout": int(TIMEOUT_S * 1e6)}

            def check(reply: Reply) -> bool:
                return reply.rows == rows

            return inference(self.name, rows, key, parameters=parameters), check

        return request


def zipf(inputs: int, exponent: float) -> list[float]:
    """Cumulated weights of inputs whose n-th is asked for as 1 / n^exponent. Pure."""
    return list(accumulate(1 / (n + 1) ** exponent for n in range(inputs)))


class Bench:
    """A server with both models, and what was seen of it."""

    def __init__(self, one: Served, clients: Clients, models: Sequence[Loaded]) -> None:
        self.one, self.clients, self.models = one, clients, models

    def api(self, method: str, path: str, content: Any = None) -> Any:
        """The answer's body; RuntimeError for anything but 200."""
        status, body = self.one.site.api(method, f"/api/v1{path}", self.one.admin_key, content)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {body}")
        return body

    async def load(self, seconds: float) -> dict[str, list[Sent]]:
        """Both models' load for so long; what became of each request, by model."""
        start_s = asyncio.get_running_loop().time() + 0.2
        driven = []
        for model in self.models:
            model.seed += 1
            times = arrivals(model.rate_per_s, seconds, start_s=start_s, seed=model.seed)
            driven.append(drive(self.clients, times, model.make(self.one.key)))
        return dict(zip([model.name for model in self.models], await asyncio.gather(*driven), strict=True))

    async def measured(self, seconds: float) -> dict[str, Result]:
        """Figures of both models over one stretch, with the knobs as they are."""
        hits_before = await asyncio.to_thread(self.hits)
        sent = await self.load(seconds)
        hits = await asyncio.to_thread(self.hits)
        return {
            name: figures(ones, seconds)
            | {"hit_ratio": hit_ratio(hits_before.get(name), hits.get(name))}
            | {"knobs": await asyncio.to_thread(self.knobs, name)}
            for name, ones in sent.items()
        }

    def knobs(self, name: str) -> Result:
        """The values in force."""
        values: Result = self.api("GET", f"/models/{name}/tuning")["values"]
        return values

    def hits(self) -> dict[str, tuple[int, int]]:
        """(Hits, misses) so far of each model that has a cache."""
        reports = {model.name: self.api("GET", f"/models/{model.name}/cache")["report"] for model in self.models}
        return {name: (report["hits"], report["misses"]) for name, report in reports.items() if report is not None}

    def decisions(self, name: str) -> list[Result]:
        """Tuning's decisions, oldest first."""
        rows = self.api("GET", f"/decisions?model={name}&actor=system:tuner&ordering=at&page_size=100")["results"]
        names = ("at", "knob", "from_value", "to_value", "status", "explanation", "expected", "predicted", "outcome")
        return [{name: row[name] for name in names} for row in rows]

    def freeze(self, frozen: bool) -> None:
        """Let tuning stand still, or go on."""
        self.api("PUT", "/tuning", {"frozen": frozen})


def figures(sent: Sequence[Sent], seconds: float) -> Result:
    """What clients saw. Pure."""
    latencies = [one.latency_s for one in sent if one.right]
    return {
        **outcomes(sent),
        "answered_per_s": round(len(latencies) / seconds, 1),
        "mean_ms": round(1_000 * fmean(latencies), 2) if latencies else None,
        **{f"p{percent}_ms": quantile_ms(latencies, percent / 100) for percent in (50, 95, 99)},
        "generator_late_p99_ms": generator_late_ms(sent),
    }


def hit_ratio(before: tuple[int, int] | None, after: tuple[int, int] | None) -> float | None:
    """Over the stretch between two counts; None without both, or where the cache was configured anew. Pure."""
    if before is None or after is None:
        return None
    hits, misses = after[0] - before[0], after[1] - before[1]
    return round(hits / (hits + misses), 3) if hits >= 0 and misses >= 0 and hits + misses else None


async def run(one: Served, models: Sequence[Loaded], arguments: argparse.Namespace) -> Result:
    """Before, tuning, after."""
    clients = Clients(one.host, one.port)
    await clients.prepare(64)
    bench = Bench(one, clients, models)
    await asyncio.to_thread(bench.freeze, True)
    await bench.load(WARM_S)
    before = await bench.measured(arguments.seconds)
    print("before", before, flush=True)
    await asyncio.to_thread(bench.freeze, False)
    began_s = time.time()
    during = await bench.load(arguments.tuning_seconds)
    await asyncio.to_thread(bench.freeze, True)
    decided = {model.name: await asyncio.to_thread(bench.decisions, model.name) for model in models}
    print("decided", decided, flush=True)
    await bench.load(SETTLE_S)
    after = await bench.measured(arguments.seconds)
    print("after", after, flush=True)
    await clients.close()
    return {
        "before": before,
        "tuning_began_unix_s": began_s,
        "during": {name: figures(sent, arguments.tuning_seconds) for name, sent in during.items()},
        "decisions": decided,
        "after": after,
    }


@contextmanager
def both(models: Sequence[Loaded]) -> Iterator[Served]:
    """The whole server with the two models: a cache of 1 MiB for the first, executions of 4 rows for the second."""
    repeats, batches = models
    shared = {"tuning_modes": AUTOMATIC, "objective": "lowest_latency", "max_queue_requests": 1_000}
    first = {**shared, "cache_enabled": True, "cache_max_mib": 1, "max_batch_rows": 256}
    with served(repeats.name, BODY, command=COMMAND, **first) as one:
        status, answer = one.site.api("POST", "/api/v1/models", one.admin_key, {"name": batches.name})
        if status != 201:
            raise RuntimeError(f"{batches.name} was not made: {status} {answer}")
        upload(one.site, one.admin_key, batches.name, BODY)
        registry.wait_until_ready(one.site, batches.name)
        second = {**shared, "cache_enabled": False, "autoscale": False, "max_batch_rows": 4}
        registry.set_policy(one.site, one.admin_key, batches.name, **second)
        yield one


def table(found: Result) -> str:
    """Before and after of each model, then what was decided, as Markdown."""
    lines = ["| model | figure | before | after |", "|---|---|--:|--:|"]
    names = ("p99_ms", "mean_ms", "p50_ms", "answered_per_s", "hit_ratio")
    for model, before in found["before"].items():
        after = found["after"][model]
        moved = [knob for knob in KNOBS if before["knobs"][knob] != after["knobs"][knob]]
        lines += [f"| `{model}` | {name} | {_shown(before[name])} | {_shown(after[name])} |" for name in names]
        lines += [f"| `{model}` | {knob} | {before['knobs'][knob]} | {after['knobs'][knob]} |" for knob in moved]
        wrong = [f"{part['wrong'] + part['no_answer']} of {part['sent']}" for part in (before, after)]
        lines.append(f"| `{model}` | wrong or without an answer | {wrong[0]} | {wrong[1]} |")
    lines += ["", "| s | model | change | expected | came of it |", "|--:|---|---|---|---|"]
    for at_s, model, row in sorted(_rows(found), key=lambda one: one[0]):
        change = f"{row['knob']} {row['from_value']} → {row['to_value']}"
        lines.append(f"| {at_s:.0f} | `{model}` | {change} | {row['expected']} | {row['outcome'] or row['status']} |")
    return "\n".join(lines)


def _rows(found: Result) -> Iterator[tuple[float, str, Result]]:
    for model, rows in found["decisions"].items():
        for row in rows:
            yield datetime.fromisoformat(row["at"]).timestamp() - found["tuning_began_unix_s"], model, row


def _shown(value: Any) -> str:
    return "–" if value is None else f"{value:g}"


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of each of the two measurements")
    parser.add_argument("--tuning-seconds", type=float, default=120)
    parser.add_argument("--repeats-per-s", type=float, default=80)
    parser.add_argument("--repeats-ms", type=float, default=15, help="of an execution")
    parser.add_argument("--inputs", type=int, default=4_000, help="different ones of `repeats`")
    parser.add_argument("--exponent", type=float, default=0.9, help="of their Zipf distribution")
    parser.add_argument("--batches-per-s", type=float, default=100)
    parser.add_argument("--batches-ms", type=float, default=35)
    arguments = parser.parse_args()
    models = [
        Loaded(
            "repeats",
            arguments.repeats_per_s,
            64,
            1_000 * arguments.repeats_ms,
            zipf(arguments.inputs, arguments.exponent),
        ),
        Loaded("batches", arguments.batches_per_s, 1, 1_000 * arguments.batches_ms, seed=1_000),
    ]
    load_average = os.getloadavg()
    with both(models) as one:
        found = asyncio.run(run(one, models, arguments))
    found = {"machine": machine() | {"load_average": load_average}, "settings": vars(arguments), **found}
    text = table(found)
    path = write_result("tuning", found)
    about = found["machine"]
    note = f"{about['processor']}, {about['cores']} cores, commit {about['commit']}"
    head = f"# Tuning by the real control loop\n\n{note}, load average {load_average[0]:.1f} at the start.\n\n"
    path.with_suffix(".md").write_text(f"{head}{text}\n")
    print(f"\n{text}\n\nkept in {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
