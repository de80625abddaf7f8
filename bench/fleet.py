"""Many registered models: requests/s of one of them beside the same server with it alone, and memory when idle."""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import registry, wrk
from bench.ours import Home, OurServer

MODELS = 1_000
_IDLE_S = 4


def registered(home: Home, rounds: int, seconds: float) -> dict[str, Any]:
    """Alternate between 1 and 1,000 registered models on one running server; then start it anew with 1,000, idle."""
    cells: dict[int, list[dict[str, Any]]] = {1: [], MODELS: []}
    with OurServer(home) as server:
        shot = server.endpoint.shot("tiny")
        wrk.load(shot, 64, 2)
        for _ in range(rounds):
            for count, rows in cells.items():
                if count > 1:
                    registry.add_models(server.site, 1, count)
                rows.append(wrk.load(shot, 64, seconds))
                print(f"fleet  tiny   c=64, {count} registered: {rows[-1]['requests_per_s']:.0f}/s", flush=True)
            registry.remove_models(server.site)
        alone = memory(server)
        registry.add_models(server.site, 1, MODELS)
    with OurServer(home) as server:
        found = registry.count_models(server.site)
        time.sleep(_IDLE_S)
        full = memory(server)
    medians = {count: statistics.median(row["requests_per_s"] for row in rows) for count, rows in cells.items()}
    return {
        "models": found,
        "requests_per_s_1": medians[1],
        "requests_per_s_1000": medians[MODELS],
        "ratio": round(medians[MODELS] / medians[1], 3),
        "web_idle_1000": full,
        "web_after_load_1": alone,
        "errors": sum(row["errors"] for rows in cells.values() for row in rows),
        "cells": {str(count): rows for count, rows in cells.items()},
    }


def memory(server: OurServer) -> dict[str, float]:
    """Memory of the web process in MiB: resident, and the share that is its own (PSS)."""
    full = server.web_process().memory_full_info()
    return {"resident_mib": round(full.rss / 2**20, 1), "pss_mib": round(full.pss / 2**20, 1)}
