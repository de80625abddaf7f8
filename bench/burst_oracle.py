"""How much better than settings that stay could settings be that change with each burst? On a simulated clock.

    PYTHONHASHSEED=0 python -m bench.burst_oracle [seed ...]

An oracle knows when each burst of docs/tuning.md's *burst* begins and ends, and changes rows and delay at that moment.
The best pair that stays is found first; then the best one between bursts beside it, then the best one in bursts beside
that. What is left between the two is the most that any tuning of these knobs can gain. A minute of one core a seed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from proxy.core.policies import Knob
from proxy.core.units import NS_PER_S
from proxy.testing.tuning_machine import Machine
from proxy.testing.tuning_model import SimulatedModel
from proxy.testing.tuning_run import mean_score
from proxy.testing.tuning_scenarios import BURST_EACH_S, BURST_S, bursts_latency
from proxy.tuner.knobs import Settings, shown

ROWS = (8, 16, 32)
DELAYS_MS = (0.0, 5.0, 10.0, 20.0)
# Seconds of the trace: unmeasured before the first, scored until the last.
WARM_S, FROM_S, TO_S = 60, 960, 1_200


def score_of(in_bursts: Settings, between: Settings, seed: int) -> float:
    """The scenario's score where the first are in force in bursts and the others between them; lower is better."""
    scenario = bursts_latency()
    part = scenario.parts[0]
    model = SimulatedModel(part.kind, part.trace, between, seed, with_curve=False)
    machine = Machine([model], scenario.cores)
    machine.second = FROM_S - WARM_S
    told = []
    while machine.second < TO_S:
        wanted = in_bursts if machine.second % BURST_EACH_S < BURST_S else between
        if wanted != model.settings:
            model.apply(wanted, machine.second * NS_PER_S)
        second = machine.run_second()[0]
        if second.at_unix_s > FROM_S:
            told.append(second)
    return mean_score(told, lambda _: between, part.goal)


def main() -> None:
    """Search and print, by seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int, default=[1])
    start = replace(bursts_latency().parts[0].start, cache_max_mib=1)
    pairs = [replace(start, max_batch_rows=rows, max_queue_delay_ms=ms) for rows in ROWS for ms in DELAYS_MS]
    for seed in parser.parse_args().seeds:
        stays, best = min(((score_of(one, one, seed), one) for one in pairs), key=lambda found: found[0])
        _, between = min(((score_of(best, one, seed), one) for one in pairs), key=lambda found: found[0])
        changes, in_bursts = min(((score_of(one, between, seed), one) for one in pairs), key=lambda found: found[0])
        print(
            f"seed {seed}: stays {_told(best)}; in bursts {_told(in_bursts)}, between them {_told(between)}: "
            f"{changes / stays - 1:+.2%}",
            flush=True,
        )


def _told(settings: Settings) -> str:
    knobs = (Knob.BATCH_ROWS, Knob.QUEUE_DELAY)
    return ", ".join(shown(knob, settings.of(knob)) for knob in knobs)


if __name__ == "__main__":
    main()
