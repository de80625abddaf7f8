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
LATE_MS = 50.0
"""Lateness of the generator from which the machine, not the server, made the latencies."""
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

    async def load(self, start_s: float, seconds: float) -> dict[str, list[Sent]]:
        """Both models' load from a moment of the loop's clock on; what became of each request, by model."""
        driven = [
            drive(
                self.clients,
                arrivals(model.rate_per_s, seconds, start_s=start_s, seed=model.seed),
                model.make(self.one.key),
            )
            for model in self.models
        ]
        return dict(zip([model.name for model in self.models], await asyncio.gather(*driven), strict=True))

    async def at(self, moment_s: float, what: Any, *arguments: Any) -> Any:
        """What `what` answers at a moment of the loop's clock; the load goes on meanwhile."""
        await asyncio.sleep(max(moment_s - asyncio.get_running_loop().time(), 0))
        return await asyncio.to_thread(what, *arguments)

    def state(self) -> dict[str, Result]:
        """The knobs in force, and what the caches counted, by model."""
        return {model.name: {"knobs": self.knobs(model.name), "cache": self.cache(model.name)} for model in self.models}

    def cache(self, name: str) -> Result | None:
        """What is said of the model's cache, without the curve."""
        report: Result | None = self.api("GET", f"/models/{name}/cache")["report"]
        return None if report is None else {key: value for key, value in report.items() if key != "curve"}

    def knobs(self, name: str) -> Result:
        """The values in force."""
        values: Result = self.api("GET", f"/models/{name}/tuning")["values"]
        return values

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


def hit_ratio(before: Result | None, after: Result | None) -> float | None:
    """Of the look-ups between two reports of a cache; None without both or without look-ups. Pure."""
    if before is None or after is None:
        return None
    hits, misses = after["hits"] - before["hits"], after["misses"] - before["misses"]
    return round(hits / (hits + misses), 3) if hits >= 0 and misses >= 0 and hits + misses else None


async def run(one: Served, models: Sequence[Loaded], arguments: argparse.Namespace) -> Result:
    """One load without a pause: warm, before, tuning, after."""
    clients = Clients(one.host, one.port)
    await clients.prepare(64)
    bench = Bench(one, clients, models)
    await asyncio.to_thread(bench.freeze, True)
    lengths = (WARM_S, arguments.seconds, arguments.tuning_seconds, SETTLE_S, arguments.seconds)
    start_s = asyncio.get_running_loop().time() + 0.2
    loading = asyncio.create_task(bench.load(start_s, sum(lengths)))
    marks = [start_s + at_s for at_s in accumulate(lengths, initial=0.0)]
    states = [await bench.at(marks[1], bench.state), await bench.at(marks[2], bench.state)]
    began_s = time.time()
    await asyncio.to_thread(bench.freeze, False)
    await bench.at(marks[3], bench.freeze, True)
    states += [await bench.at(marks[4], bench.state), await bench.at(marks[5], bench.state)]
    sent = await loading
    decided = {model.name: await asyncio.to_thread(bench.decisions, model.name) for model in models}
    await clients.close()

    def stretch(first: int, last: int, states: Sequence[dict[str, Result]]) -> dict[str, Result]:
        return {
            name: figures(
                [one for one in ones if marks[first] <= one.planned_s < marks[last]], marks[last] - marks[first]
            )
            | {"hit_ratio": hit_ratio(states[0][name]["cache"], states[1][name]["cache"]), **states[1][name]}
            for name, ones in sent.items()
        }

    return {
        "before": stretch(1, 2, states[:2]),
        "tuning_began_unix_s": began_s,
        "during": stretch(2, 3, states[1:3]),
        "decisions": decided,
        "after": stretch(4, 5, states[2:]),
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
    late = [max(part["generator_late_p99_ms"] or 0 for part in found[name].values()) for name in ("before", "after")]
    lines.append(f"| both | generator late (p99), ms | {late[0]:g} | {late[1]:g} |")
    if max(late) > LATE_MS:
        lines += ["", "The generator lacked a core, so the machine was too busy for these figures to say much."]
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
    parser.add_argument("--tuning-seconds", type=float, default=150)
    parser.add_argument("--repeats-per-s", type=float, default=40)
    parser.add_argument("--repeats-ms", type=float, default=60, help="of an execution")
    parser.add_argument("--inputs", type=int, default=1_000, help="different ones of `repeats`")
    parser.add_argument("--exponent", type=float, default=0.9, help="of their Zipf distribution")
    parser.add_argument("--batches-per-s", type=float, default=50)
    parser.add_argument("--batches-ms", type=float, default=70)
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
    found = {
        "machine": machine() | {"load_average": load_average, "load_average_after": os.getloadavg()},
        "settings": vars(arguments),
        **found,
    }
    text = table(found)
    path = write_result("tuning", found)
    about = found["machine"]
    note = f"{about['processor']}, {about['cores']} cores, commit {about['commit']}"
    busy = f"load average {load_average[0]:.1f} at the start, {about['load_average_after'][0]:.1f} at the end"
    head = f"# Tuning by the real control loop\n\n{note}, {busy}.\n\n"
    path.with_suffix(".md").write_text(f"{head}{text}\n")
    print(f"\n{text}\n\nkept in {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
