"""Tuning against settings that stay, on a simulated clock: the first table of docs/tuning.md.

Real decisions on seeded traces (proxy.testing.tuning_scenarios): each model begins with the defaults and is tuned by
itself; the best settings that stay are found by grid search on the same requests. The figures are the same on any
machine while PYTHONHASHSEED is (the script sets it: W-TinyLFU's sketch is indexed by Python's hash). Some twenty
minutes of one core on a quiet machine. `bench/tuning_simulation steady_cost` runs one scenario, `--seed 11` other
requests, and `--decisions` prints each decision in words.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from typing import Any

from bench.harness import machine, write_result
from proxy.core.policies import Knob
from proxy.testing.tuning_comparison import Several, StaticSide, TunedSide, static_side, tuned_side
from proxy.testing.tuning_scenarios import SCENARIOS, Scenario
from proxy.tuner.knobs import Settings, shown

NAMES = {make.__name__: make for make in SCENARIOS}
WITHIN = 0.05
MOST_DECISIONS = 20
TITLES = (
    "scenario",
    "against the best that stays",
    "against the defaults",
    "decisions until the last kept (in all)",
    "settings: tuned",
    "best that stays (of so many)",
    "as aimed at",
)
SHORT = {
    Knob.INSTANCES: "instances",
    Knob.BATCH_ROWS: "batch",
    Knob.QUEUE_DELAY: "delay",
    Knob.CONCURRENCY: "limit",
    Knob.PLACEMENT: "",
    Knob.CACHE_SIZE: "cache",
    Knob.CACHE_POLICY: "",
}


def tuned_of(name: str, seed: int) -> TunedSide:
    """One scenario tuned, in a process of its own."""
    return tuned_side(NAMES[name](), seed)


def static_of(name: str, seed: int) -> StaticSide:
    """One scenario's grid, in a process of its own."""
    return static_side(NAMES[name](), seed)


def row(scenario: Scenario, tuned: TunedSide, static: StaticSide) -> dict[str, Any]:
    """One line of the table."""
    over_best = tuned.score / static.best - 1
    is_near = over_best < 0 if scenario.shifts_s else over_best <= WITHIN
    return {
        "scenario": scenario.name,
        "over_best": over_best,
        "over_default": tuned.score / static.default - 1,
        "decisions": tuned.most_in_a_phase if scenario.shifts_s else tuned.converged_after,
        "decisions_in_all": tuned.decisions,
        "kept": tuned.kept,
        "converged_s": tuned.converged_s,
        "outside_bounds": tuned.outside,
        "tuned": moved(scenario, tuned.settings),
        "best": moved(scenario, static.settings),
        "tried": static.tried,
        "holds": is_near and not tuned.outside and tuned.most_in_a_phase < MOST_DECISIONS,
    }


def moved(scenario: Scenario, settings: Several) -> str:
    """What differs from the defaults."""
    told = [_moved(part.start, one) for part, one in zip(scenario.parts, settings, strict=True)]
    return "; ".join(told)


def _moved(start: Settings, settings: Settings) -> str:
    changes = [
        f"{SHORT[knob]} {shown(knob, settings.of(knob))}".strip()
        for knob in Knob
        if settings.of(knob) != start.of(knob)
    ]
    return ", ".join(changes) or "defaults"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as Markdown: the table of docs/tuning.md."""
    lines = [f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|"]
    lines += [
        f"| {one['scenario']} | {one['over_best']:+.1%} | {one['over_default']:+.1%} "
        f"| {one['decisions']} ({one['decisions_in_all']}) | {one['tuned']} | {one['best']} ({one['tried']}) "
        f"| {'yes' if one['holds'] else 'no'} |"
        for one in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the scenarios asked for, print the table and write it with its date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenarios", nargs="*", choices=[[], *NAMES], default=[], help="all if none is named")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--decisions", action="store_true", help="print each decision in words")
    parser.add_argument("--seed", type=int, default=1, help="of the traces; the decisions were made with 1 in view")
    given = parser.parse_args()
    names = given.scenarios or list(NAMES)
    with ProcessPoolExecutor(given.jobs) as pool:
        static = {name: pool.submit(static_of, name, given.seed) for name in names}
        tuned = {name: pool.submit(tuned_of, name, given.seed) for name in names}
        rows = [row(NAMES[name](), tuned[name].result(), static[name].result()) for name in names]
    if given.decisions:
        for name in names:
            for log in tuned[name].result().log:
                print(f"\n### {name}\n")
                print("\n".join(f"{at_s:5} s  {words}" for at_s, words in log))
    print(f"\n{table(rows)}")
    failed = [one["scenario"] for one in rows if not one["holds"]]
    print(f"\nHolds for all but: {', '.join(failed)}" if failed else "\nHolds for all.")
    if not given.scenarios:
        details = {
            name: {"tuned": asdict(tuned[name].result()), "static": asdict(static[name].result())} for name in names
        }
        content = {"machine": machine(), "seed": given.seed, "rows": rows, "details": details}
        written = write_result("tuning-simulation", content)
        page = written.with_suffix(".md")
        page.write_text(f"# Tuning against settings that stay, seed {given.seed}\n\n{table(rows)}\n")
        print(f"{written}\n{page}")


if __name__ == "__main__":
    main()
