"""A sample of the keys that were asked for lately, in order of last use: how many bytes were used since. Pure.

    estimated reuse distance of a key = (bytes of the sampled keys used after it) / (share of keys that is sampled)

A key belongs to the sample if it is less than `limit`; keys are digests, so that is a uniform share of all keys, always
the same ones. Whatever would make the sample too large lowers the limit: the keys above it leave.
Bytes are summed in a binary indexed tree over places; each use gives a key the next place, and when those are used up
all keys move together. A use costs O(log MOST_KEYS), about 9 µs with its count.
Source: Waldspurger et al., "Efficient MRC Construction with SHARDS", FAST'15 (fixed-size variant, sections 3.2, 4.3).
"""

from __future__ import annotations

from collections import OrderedDict

# Keys followed. Larger: a finer curve (the error falls with its root), more memory (about 250 bytes each), longer uses.
MOST_KEYS = 2_048
# Keys that leave at once when there are too many; each time costs a sort of all. Larger: fewer sorts, fewer keys.
LEAVING_KEYS = MOST_KEYS // 8
PLACES = 4 * MOST_KEYS
# Greater than any key.
ALL_KEYS = b"\xff" * 65
_RATE_BYTES = 8


def limit_of(rate: float) -> bytes:
    """The key below which so many of all keys lie."""
    return ALL_KEYS if rate >= 1 else max(int(rate * 2.0 ** (8 * _RATE_BYTES)), 1).to_bytes(_RATE_BYTES, "big")


class Followed:
    """One key of the sample. `is_kept`: an answer is there that a cache could give out, since `stored_ns`."""

    __slots__ = ("is_kept", "place", "service_ns", "size_bytes", "stored_ns")

    def __init__(self, place: int, size_bytes: int) -> None:
        self.place = place
        self.size_bytes = size_bytes
        self.service_ns = 0
        self.stored_ns = 0
        self.is_kept = False


class SampledStack:
    """The sampled keys below `limit`, which is `rate` of all keys."""

    __slots__ = ("_keys", "_next_place", "_tree", "limit", "rate", "size_bytes")

    def __init__(self, rate: float = 1.0) -> None:
        self._keys: OrderedDict[bytes, Followed] = OrderedDict()
        self._tree: list[int] = []  # made with the first key, since many models are never asked
        self._next_place = 1
        self.size_bytes = 0
        self.limit, self.rate = ALL_KEYS, 1.0
        if rate < 1:
            self.lower_to(rate)

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: bytes) -> Followed | None:
        """The key's entry, wherever it stands."""
        return self._keys.get(key)

    def use(self, key: bytes) -> tuple[Followed, int] | None:
        """Put `key` on top. Its entry and its estimated reuse distance, own size included; None: it was not there."""
        known = self._keys.get(key)
        if known is None:
            return None
        above_bytes = self.size_bytes - self._sum_to(known.place)
        self._keys.move_to_end(key)
        self._add(known.place, -known.size_bytes)
        known.place = self._take_place(known)
        return known, round(above_bytes / self.rate) + known.size_bytes

    def add(self, key: bytes, size_bytes: int) -> Followed:
        """Put a new key on top."""
        if len(self._keys) >= MOST_KEYS:
            self._make_room()
        added = Followed(0, size_bytes)
        if key < self.limit:
            self._keys[key] = added
            self.size_bytes += size_bytes
            added.place = self._take_place(added)
        return added

    def resize(self, known: Followed, size_bytes: int) -> None:
        """The key's answer takes `size_bytes`."""
        more_bytes = size_bytes - known.size_bytes
        known.size_bytes = size_bytes
        if known.place and more_bytes:
            self.size_bytes += more_bytes
            self._add(known.place, more_bytes)

    def forget_beyond(self, horizon_bytes: int) -> None:
        """Drop the keys used longest ago while all together stand for more than `horizon_bytes`."""
        most_bytes = horizon_bytes * self.rate
        while self.size_bytes > most_bytes and len(self._keys) > 1:
            _, oldest = self._keys.popitem(last=False)
            self.size_bytes -= oldest.size_bytes
            self._add(oldest.place, -oldest.size_bytes)

    def lower_to(self, rate: float) -> None:
        """Sample only `rate` of all keys from now on; never more than before."""
        if rate < self.rate:
            self._lower(limit_of(rate))

    def _make_room(self) -> None:
        self._lower(sorted(self._keys)[-LEAVING_KEYS])

    def _lower(self, limit: bytes) -> None:
        self.limit = limit
        first = int.from_bytes(limit[:_RATE_BYTES].ljust(_RATE_BYTES, b"\0"), "big")
        self.rate = max(first, 1) / 2.0 ** (8 * _RATE_BYTES)
        for key in [key for key in self._keys if key >= limit]:
            self._keys.pop(key).place = 0
        if self._tree:
            self._move_together()

    def _take_place(self, known: Followed) -> int:
        """The next place, with the key's bytes in it."""
        if self._next_place > PLACES or not self._tree:
            known.place = 0
            self._move_together()
        place = self._next_place
        self._next_place += 1
        self._add(place, known.size_bytes)
        return place

    def _move_together(self) -> None:
        """Give all keys the first places, in their order. A key without a place gets none."""
        tree = self._tree = [0] * (PLACES + 1)
        place = 0
        total_bytes = 0
        for known in self._keys.values():
            total_bytes += known.size_bytes
            if known.place:
                place += 1
                known.place = place
                tree[place] = known.size_bytes
        self._next_place = place + 1
        self.size_bytes = total_bytes
        for at in range(1, PLACES + 1):
            parent = at + (at & -at)
            if parent <= PLACES:
                tree[parent] += tree[at]

    def _add(self, place: int, more_bytes: int) -> None:
        tree = self._tree
        while place <= PLACES:
            tree[place] += more_bytes
            place += place & -place

    def _sum_to(self, place: int) -> int:
        tree, total = self._tree, 0
        while place:
            total += tree[place]
            place &= place - 1
        return total
