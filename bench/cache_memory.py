"""What kept answers are charged beside what a process grows by: the table of docs/caching.md. A few seconds a row.

Each row is a process of its own that fills a cache until it has evicted as much again, so that every policy holds what
it remembers of those that left, too. Each answer has had a hit, which leaves its text. `python -m bench.cache_memory`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys

import psutil

from bench.harness import ROOT
from proxy.cache.store import Store
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy, Eviction
from proxy.core.requests import Answer, InferenceResult
from proxy.core.tensors import Tensor
from proxy.core.units import BYTES_PER_MIB
from proxy.protocol.v2_response import encode_output
from proxy.testing.instances import fake_version

BOUND_MIB = 64
SIZES = (1, 10, 1_000)
BODY_BYTES = 300


def grown(eviction: Eviction, values: int, *, with_replies: bool) -> dict[str, int]:
    """Fill a cache in this process: what it charged, what the process grew by, how many answers it holds."""
    version = fake_version()
    _fill(Store(CachePolicy(eviction=eviction, max_bytes=BYTES_PER_MIB)), version, values, with_replies)  # warm
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    store = Store(CachePolicy(eviction=eviction, max_bytes=BOUND_MIB * BYTES_PER_MIB))
    _fill(store, version, values, with_replies)
    gc.collect()
    return {"charged": store.size_bytes, "grown": process.memory_info().rss - before, "entries": len(store)}


def _fill(store: Store, version: object, values: int, with_replies: bool) -> None:
    number = 0
    while store.evictions <= len(store):
        number += 1
        data = os.urandom(8 * values)
        answer = BatchOutputs((Tensor("y", "INT64", (1, values), data),), 1, batched=True)
        text = encode_output(InferenceResult(version, answer, 0, 1), "y")  # type: ignore[arg-type]
        key = os.urandom(24)
        store.put(key, answer, "digest", number, 10**6 + number)
        if with_replies:
            store.get(key, 0)
            body = os.urandom(BODY_BYTES)
            store.add_reply(version, "tenant", body, key, Answer(200, bytes(text) + b"}"))  # type: ignore[arg-type]


def main() -> None:
    """One process a row, each printed as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", nargs=3, metavar=("POLICY", "VALUES", "REPLIES"), help="one row, in this process")
    asked = parser.parse_args().one
    if asked:
        print(json.dumps(grown(Eviction(asked[0]), int(asked[1]), with_replies=asked[2] == "yes")))
        return
    print(
        "| policy | INT64 values | replies | answers | charged MiB | grown MiB | charged / grown |\n|---|--:|---|"
        + "--:|" * 4
    )
    cells = [(eviction, values, "no") for eviction in Eviction for values in SIZES]
    cells += [(Eviction.LRU, 10, "yes"), (Eviction.S3_FIFO, 10, "yes")]
    for eviction, values, replies in cells:
        command = [sys.executable, "-m", "bench.cache_memory", "--one", eviction.value, str(values), replies]
        found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
        charged, grew = found["charged"] / BYTES_PER_MIB, found["grown"] / BYTES_PER_MIB
        row = f"| {eviction.value} | {values:,} | {replies} | {found['entries']:,} | {charged:.1f} | {grew:.1f} |"
        print(f"{row} {charged / grew:.2f} |", flush=True)


if __name__ == "__main__":
    main()
