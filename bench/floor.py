"""The floor: the model called in a loop, in process, with nothing around it."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from bench.peers import models

# Median of a row alone on the machine of the first comparisons (2 cores): a floor far above these tells that others
# use the machine, and that ratios of such a run mean little.
QUIET_MS = {"tiny": 0.011, "medium": 3.0}


def measure(name: str, batch: int, seconds: float) -> dict[str, Any]:
    """Time of one call on one thread, in ms, and rows/s."""
    torch.set_num_threads(1)
    model, x = models.build(name), torch.randn(batch, models.dims(name)[0])
    times_s = []
    with torch.inference_mode():
        for _ in range(5):
            model(x)
        end_s = time.perf_counter() + seconds
        while (began_s := time.perf_counter()) < end_s:
            model(x)
            times_s.append(time.perf_counter() - began_s)
    row = {"model": name, "batch": batch, "median_ms": round(statistics.median(times_s) * 1e3, 4)}
    return row | {"rows_per_s": round(len(times_s) * batch / sum(times_s))}
