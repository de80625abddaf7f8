"""The table of docs/reliability.md from the newest results of bench/{overload,faults,exactness,scaling}.

Nothing in the table is typed by hand: a figure that no result file has is shown as "not measured".
`--measure` runs the benches of rows 6 to 9, 12, 21 and of scaling first, one after the other; `--measure all` those of
every row, with shorter phases than each has by itself. What each took is printed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.harness import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: made by bench/reliability -->", "<!-- end of figures -->"
NOT_MEASURED = "not measured"
Results = dict[str, dict[str, Any]]


def newest(name: str) -> tuple[str, dict[str, Any]]:
    """File name and content of the newest result of a bench; empty if there is none."""
    found = sorted((ROOT / "bench" / "results").glob(f"*-{name}.json"))
    return (found[-1].name, json.loads(found[-1].read_text())) if found else ("", {})


def newest_rows(contents: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """Each row of `bench/faults` and the file that measured it last, of results oldest first. Pure."""
    return {row: file for file, content in contents for row in content["rows"] if row != "wrong"}


def faults() -> tuple[dict[str, Any], list[tuple[str, dict[str, Any], list[str]]]]:
    """Every row as it was measured last, and which results they are of: file, content, rows."""
    found = sorted((ROOT / "bench" / "results").glob("*-faults.json"))
    contents = {path.name: json.loads(path.read_text()) for path in found}
    file_of = newest_rows(list(contents.items()))
    merged = {"rows": {row: contents[file]["rows"][row] for row, file in file_of.items()}} if contents else {}
    of = [(file, content, [row for row in file_of if file_of[row] == file]) for file, content in contents.items()]
    return merged, [one for one in of if one[2]]


def _row_1(of: Results) -> str:
    million, network = of["exactness"]["million"], of["exactness"]["network"]
    runs = [million, of["faults"].get("rows", {})]
    for overload in (of["overload"], of["overload-waiting"]):
        if overload:
            runs += [*overload["overload"], *overload["steps"], overload["deadlines"]]
    if of["scaling"]:
        parts = of["scaling"]["step"], of["scaling"]["noise"], of["scaling"]["capacity"]
        runs += [parts[0]["before_the_step"], parts[0]["after_the_step"], *parts[1:]]
    wrong = sum(count(run, "wrong") for run in runs)
    checked = sum(count(run, "right") for run in runs)
    return (
        f"{wrong} wrong of {checked:,} answers ({million['kills']} kills and {million.get('left', 0):,} cut "
        f"connections in the million); at equal batch shape {network['same_shape_bit_equal']:,} of "
        f"{network['requests']:,} bit-equal, at other shapes at most "
        f"{network['other_shapes_largest_difference']:.1e} apart"
    )


def count(found: Any, what: str) -> int:
    """Sum of every `what` that a fault's or phase's result holds, once each."""
    if not isinstance(found, dict):
        return 0
    return found[what] if "sent" in found else sum(count(value, what) for value in found.values())


def _row_2(of: Results) -> str:
    return ", ".join(
        f"{row['ratio']:g}x: {row['goodput_of_peak']:.1%} ({row['goodput_per_s']:g} of {peak:g}/s; the generator was "
        f"{row['generator_late_p99_ms']:g} ms late at p99)"
        for peak in (of["overload"]["peak"]["goodput_per_s"],)
        for row in of["overload"]["overload"]
    )


def _row_3(of: Results) -> str:
    return ", ".join(
        f"{row['ratio']:g}x: p99 {row['refusal_p99_ms']:g} ms of {row['refusals']:,}, "
        f"{row['refusals_without_retry_after']} without Retry-After, server process {row['web_cores']:.0%} of a core"
        for row in of["overload"]["overload"]
    )


def _row_4(of: Results) -> str:
    return ", ".join(
        f"{row['ratio']:g}x: stable after {row['stable_after_ms']} ms, "
        f"calm {row['recovered_after_ms']} ms after its end"
        for row in of["overload"]["steps"]
    )


def _row_5(of: Results) -> str:
    row = of["overload"]["deadlines"]
    return (
        f"{row['inside_ratio']:.3%} of {row['accepted']:,} accepted within {row['timeout_ms']:g} ms at "
        f"{row['offered_per_s']:g} requests/s (p99 {row['p99_ms']:g} ms)"
    )


def _row_6(of: Results) -> str:
    row = of["faults"]["rows"]["switches"]
    return (
        f"{row['failed']} failed and {row['wrong']} wrong of {row['sent']:,} in {row['switches']} switches at "
        f"{row['rate_per_s']:g}/s, {row['old_after_acknowledgement']} of the old version after the acknowledgement "
        f"(p50 {row['acknowledged_p50_ms']:g} ms); p99 {row['p99_before_ms']:g} → {row['p99_during_ms']:g} ms "
        f"({row['p99_ratio']:g}x)"
    )


def _row_7(of: Results) -> str:
    row = of["faults"]["rows"]["kills"]
    return (
        f"{row['sent'] - row['right']} of {row['sent']:,} without a right answer in {row['kills']} kills at "
        f"{row['rate_per_s']:g}/s; p99 {row['p99_ms']:g} ms; both instances answer again after {row['back_p50_s']:g} s "
        f"(p50)"
    )


def _row_8(of: Results) -> str:
    row = of["faults"]["rows"]["hang"]
    load = row["under_load"]
    return (
        f"stopped under load with a budget of {load['budget_s']:g} s: ended after {load['gone_after_s']:g} s; stopped "
        f"while idle: after {row['idle']['gone_after_s']:g} s"
    )


def _row_9(of: Results) -> str:
    words = []
    for name, row in of["faults"]["rows"]["poison"].items():
        words.append(
            f"{name.replace('_', ' ')}: {row['neighbours_right']} of {row['neighbours']} neighbours right, batch "
            f"{row['good_batch_ms']:g} → {row['poisoned_batch_ms']:g} ms"
        )
    return "; ".join(words)


def _row_12(of: Results) -> str:
    row = of["faults"]["rows"]["herd"]
    return f"{row['executions']} execution for {row['requests']:,} requests, {row['right']:,} right"


def _row_21(of: Results) -> str:
    row = of["faults"]["rows"]["leavers"]
    return f"{row['cancelled_executed']} of {row['cancelled']} cancelled while queued were executed"


def _scaling(of: Results) -> str:
    step, noise, target_ms = of["scaling"]["step"], of["scaling"]["noise"], of["scaling"]["settings"]["target_ms"]
    refused = sum(step["after_the_step"]["refused"].values())
    good = "never within" if step["good_after_s"] is None else f"after {step['good_after_s']:g} s within"
    return (
        f"{step['low_per_s']:g} → {step['high_per_s']:g} requests/s: decided after {step['decided_after_s']} s, second "
        f"instance answers after {step['ready_after_s']} s, p99 {good} {target_ms:g} ms ({refused} of "
        f"{step['after_the_step']['sent']:,} refused meanwhile); {noise['reversals']} turns in {noise['seconds']:g} s "
        f"of noise"
    )


def _both(words: Callable[[Results], str]) -> Callable[[Results], str]:
    """Of the whole server with a model that computes, and of the data plane with an instance that waits."""

    def both(of: Results) -> str:
        found = []
        if of["overload"]:
            found.append(words(of))
        if of["overload-waiting"]:
            found.append("waiting: " + words({**of, "overload": of["overload-waiting"]}))
        return "<br>".join(found) or NOT_MEASURED

    return both


LINES: tuple[tuple[int | str, str, Callable[[Results], str], str], ...] = (
    (1, "0 wrong answers in any run, compared with the named version", _row_1, "`bench/exactness`, all of the below"),
    (
        2,
        "goodput at 10x overload >= 95 % of the peak, at 50x >= 90 %",
        _both(_row_2),
        "`bench/overload`, `bench/overload --waiting`",
    ),
    (
        3,
        "refusals at 10x: p99 < 10 ms, all with Retry-After, < 20 % of the CPU",
        _both(_row_3),
        "`bench/overload`, `bench/overload --waiting`",
    ),
    (
        4,
        "step to 1.4x stable in <= 100 ms, to 10x in <= 1 s; calm <= 1 s after",
        _both(_row_4),
        "`bench/overload`, `bench/overload --waiting`",
    ),
    (
        5,
        "99.99 % of accepted requests inside their deadline at 80 % load",
        _both(_row_5),
        "`bench/overload`, `bench/overload --waiting`",
    ),
    (6, "100 version switches at 200/s: 0 failed, 0 wrong, 0 old, p99 <= 2x", _row_6, "`bench/faults --rows switches`"),
    (7, "100 kills at 200/s with 2 instances: 0 visible failures", _row_7, "`bench/faults --rows kills`"),
    (8, "a hung instance is replaced in <= 10 s or 2x its budget", _row_8, "`bench/faults --rows hang`"),
    (9, "poison in a batch: neighbours 100 % right", _row_9, "`bench/faults --rows poison`"),
    (12, "1 execution for 1,000 same cold requests", _row_12, "`bench/faults --rows herd`"),
    (21, "0 cancelled queued requests executed", _row_21, "`bench/faults --rows leavers`"),
    (
        "scaling",
        "step from 20 % to 80 % of two instances: time until p99 is back; in noise at most one turn a minute",
        _scaling,
        "`bench/scaling`",
    ),
)


def table() -> str:
    """The table as Markdown, with the machine of each result."""
    found = {name: newest(name) for name in ("overload", "overload-waiting", "exactness", "scaling")}
    merged, fault_results = faults()
    results = {name: content for name, (_, content) in found.items()} | {"faults": merged}
    lines = ["| row | goal | measured | made by |", "|--:|---|---|---|"]
    for number, goal, words, command in LINES:
        try:
            measured = words(results)
        except KeyError:
            measured = NOT_MEASURED
        lines.append(f"| {number} | {goal} | {measured} | {command} |")
    notes = [_note(name, file, content) for name, (file, content) in found.items() if file]
    notes += [_note(f"faults ({', '.join(rows)})", file, content) for file, content, rows in fault_results]
    return "\n".join([*lines, "", "Machines and dates:", "", *notes])


def _note(name: str, file: str, content: dict[str, Any]) -> str:
    machine = content["machine"]
    return (
        f"- {name}: `bench/results/{file}`, {machine['processor']}, {machine['cores']} cores, Python "
        f"{machine['python']}, commit {machine['commit']}, load average at the end {machine['load_average'][0]:.1f}"
    )


FAULTS = ("bench.faults", "--kills", "100", "--switches", "100")
SCALING = ("bench.scaling", "--capacity-seconds", "3", "--calm-seconds", "5", "--high-seconds", "20")
OVERLOAD = ("bench.overload", "--waiting", "--seconds", "5", "--deadline-seconds", "15")
EXACTNESS = ("bench.exactness", "--requests", "100000")
MEASURED = {"faults": (FAULTS, SCALING), "all": (FAULTS, SCALING, OVERLOAD, EXACTNESS)}


def measure(which: str) -> int:
    """Run the benches of `which` in turn; how many missed their goal. One that does leaves the others to run."""
    missed = 0
    for module, *options in MEASURED[which]:
        began_s = time.monotonic()
        status = subprocess.run([sys.executable, "-m", module, *options], cwd=ROOT, check=False).returncode
        missed += status != 0
        print(f"{module}: exit status {status} after {time.monotonic() - began_s:.0f} s", flush=True)
    return missed


def main() -> int:
    """Measure if asked to, then put the table between the document's marks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--measure", nargs="?", const="faults", choices=sorted(MEASURED), help="run the benches first")
    which = parser.parse_args().measure
    missed = measure(which) if which else 0
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    Path(DOCUMENT).write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
