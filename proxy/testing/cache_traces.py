"""Requests as a cache meets them, seeded: which answer, of what size, and the model time that a hit saves.

Real traces come as libCacheSim's oracleGeneral files: one function reads them, another makes one.
Source of the format: libCacheSim, "oracleGeneral": 24 packed little-endian bytes a request: time in s (uint32), object
(uint64), bytes (uint32), when it is asked for next, in requests (int64, -1: never).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct, error

import numpy as np

from proxy.core.units import NS_PER_MS

KIB = 1_024
_RECORD = Struct("<IQIq")
_READ_BYTES = _RECORD.size * 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One answer: the digest that it is kept under, its bytes, and the model time that a hit of it saves."""

    key: bytes
    size_bytes: int
    saved_ns: int


Trace = list[Item]
COUNT = 50_000
ANSWERS = 10_000
ANSWER_BYTES = 2 * KIB
ANSWER_NS = 5 * NS_PER_MS


def _items(numbers: Iterable[int], size_bytes: int = ANSWER_BYTES, saved_ns: int = ANSWER_NS) -> list[Item]:
    return [Item(number.to_bytes(24, "little"), size_bytes, saved_ns) for number in numbers]


def _ranks(count: int, answers: int, exponent: float, rng: np.random.Generator) -> list[int]:
    """`count` draws of 0 .. `answers` - 1, each as likely as its rank to the power of -`exponent`."""
    weights = np.arange(1, answers + 1) ** -exponent
    drawn: list[int] = rng.choice(answers, size=count, p=weights / weights.sum()).tolist()
    return drawn


def zipf(count: int = COUNT, answers: int = ANSWERS, exponent: float = 0.9, seed: int = 1) -> Trace:
    """Some answers are wanted far more often than others, and stay so."""
    items = _items(range(answers))
    return [items[rank] for rank in _ranks(count, answers, exponent, np.random.default_rng(seed))]


def scans(count: int = COUNT, answers: int = ANSWERS, scan: int = 1_000, every: int = 4_000, seed: int = 2) -> Trace:
    """As `zipf`, but now and then somebody asks for many answers that nobody wants again."""
    wanted = zipf(count, answers, 0.9, seed)
    once = iter(_items(range(answers, answers + count)))
    trace: Trace = []
    for at in range(0, count, every):
        trace += wanted[at : at + every - scan]
        trace += [next(once) for _ in range(scan)]
    return trace[:count]


def shifting(count: int = COUNT, answers: int = ANSWERS, every: int = 2_500, by: int = 50, seed: int = 3) -> Trace:
    """As `zipf`, but every so often the most wanted answers are others, that few had asked for before."""
    items = _items(range(answers))
    ranks = _ranks(count, answers, 0.9, np.random.default_rng(seed))
    return [items[(rank + at // every * by) % answers] for at, rank in enumerate(ranks)]


def mixed(count: int = COUNT, answers: int = ANSWERS, seed: int = 4) -> Trace:
    """Sizes of 1 KiB to 100 KiB, model times of 0.5 to 200 ms, neither tied to the other nor to how wanted they are."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(KIB), np.log(100 * KIB), answers)).astype(int).tolist()
    times = np.exp(rng.uniform(np.log(NS_PER_MS / 2), np.log(200 * NS_PER_MS), answers)).astype(int).tolist()
    keys = (number.to_bytes(24, "little") for number in range(answers))
    items = [Item(*one) for one in zip(keys, sizes, times, strict=True)]
    return [items[rank] for rank in _ranks(count, answers, 0.9, rng)]


def mixed_shifting(count: int = COUNT, answers: int = ANSWERS, every: int = 2_500, by: int = 50) -> Trace:
    """As `mixed`, with popularity as in `shifting`."""
    places: dict[bytes, Item] = {item.key: item for item in mixed(count, answers)}
    order = sorted(places.values(), key=lambda item: item.key)
    ranks = _ranks(count, len(order), 0.9, np.random.default_rng(5))
    return [order[(rank + at // every * by) % len(order)] for at, rank in enumerate(ranks)]


TRACES: dict[str, Callable[[], Trace]] = {
    "zipf": zipf,
    "scans": scans,
    "shifting": shifting,
    "mixed": mixed,
    "mixed, shifting": mixed_shifting,
}


def read_oracle_general(path: Path, saved_ns: int = ANSWER_NS) -> Iterator[Item]:
    """The requests of an oracleGeneral file (unpacked: `zstd -d`). It holds no costs, so each hit saves `saved_ns`.

    Raises ValueError for a file that ends within a request.
    """
    items: dict[tuple[int, int], Item] = {}
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            try:
                for _, number, size_bytes, _ in _RECORD.iter_unpack(data):
                    item = items.get((number, size_bytes))
                    if item is None:
                        item = Item(number.to_bytes(24, "little"), max(size_bytes, 1), saved_ns)
                        items[number, size_bytes] = item
                    yield item
            except error:
                raise ValueError(f"{path.name}: not a whole number of {_RECORD.size}-byte requests") from None


def write_oracle_general(path: Path, trace: Trace) -> None:
    """`trace` as an oracleGeneral file, one request a second; costs are not part of the format."""
    next_at: dict[bytes, int] = {}
    records = []
    for at in range(len(trace) - 1, -1, -1):
        item = trace[at]
        number = int.from_bytes(item.key, "little")
        records.append(_RECORD.pack(at, number, item.size_bytes, next_at.get(item.key, -1)))
        next_at[item.key] = at
    path.write_bytes(b"".join(reversed(records)))
