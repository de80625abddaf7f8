"""How often keys were asked for lately, in a few bytes a key: a count-min sketch whose counters age by halving. Pure.

Each key has one counter in each of four rows, chosen by its hash; a look-up raises those that stand lowest, and the
least of the four is the estimate: never less than the truth since the last halving, up to 15. After ten look-ups a key
all are halved, so what was popular once is forgotten.
Counters lie one a byte although they hold four bits: halving is then one pass of `bytearray.translate`, and a look-up
needs no shifting, for 16 to 32 bytes a key where nibbles need half.
The hash is the interpreter's own, with a secret of the process: a client cannot choose inputs that share counters.
Source: Cormode, Muthukrishnan 2005; Einziger, Friedman, Manes, TinyLFU, ACM TOS 2017; Caffeine, FrequencySketch.java
(which has as many counters a key, and halves as often).
"""

from __future__ import annotations

ROWS = 4
MOST = 15
# Counters in each row for a key, at least. Larger: fewer keys are taken for others, more memory. With one, hits of the
# traces in docs/caching.md are 1 to 4 points fewer.
COUNTERS_PER_KEY = 4
# Look-ups for each key before all counters are halved. Larger: remembers longer, follows a change later.
LOOKUPS_PER_KEY = 10
LEAST_KEYS = 16
_RAISED = bytes(min(value + 1, MOST) for value in range(256))
_HALVED = bytes(value >> 1 for value in range(256))


class FrequencySketch:
    """Counters for `keys` keys, a power of two."""

    __slots__ = ("_lookups", "_mask", "_rows", "keys")

    def __init__(self) -> None:
        self.keys = LEAST_KEYS
        self._rows = tuple(bytearray(COUNTERS_PER_KEY * LEAST_KEYS) for _ in range(ROWS))
        self._mask = COUNTERS_PER_KEY * LEAST_KEYS - 1
        self._lookups = 0

    def hold(self, keys: int) -> None:
        """Be wide enough for so many keys; what was counted stays an estimate that is never too low."""
        while self.keys < keys:
            for row in self._rows:
                row.extend(row)
            self.keys *= 2
            self._mask = COUNTERS_PER_KEY * self.keys - 1

    def add(self, key: bytes) -> None:
        """`key` was asked for once more."""
        mask = self._mask
        first = hash(key)
        step = first >> 32 | 1
        one, two, three, four = self._rows
        a, b, c, d = first & mask, (first + step) & mask, (first + 2 * step) & mask, (first + 3 * step) & mask
        least = min(one[a], two[b], three[c], four[d])
        raised = _RAISED[least]
        if one[a] == least:
            one[a] = raised
        if two[b] == least:
            two[b] = raised
        if three[c] == least:
            three[c] = raised
        if four[d] == least:
            four[d] = raised
        self._lookups += 1
        if self._lookups >= LOOKUPS_PER_KEY * self.keys:
            self._halve()

    def estimate(self, key: bytes) -> int:
        """How often `key` was asked for lately, 0 to 15."""
        mask = self._mask
        first = hash(key)
        step = first >> 32 | 1
        one, two, three, four = self._rows
        a, b, c, d = first & mask, (first + step) & mask, (first + 2 * step) & mask, (first + 3 * step) & mask
        return min(one[a], two[b], three[c], four[d])

    def _halve(self) -> None:
        for row in self._rows:
            row[:] = row.translate(_HALVED)
        self._lookups //= 2
