"""One model that shares its answers: its epoch, its counts, and whether a look-up is worth its time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.cache import second_level_codec as codec
from proxy.core.batches import BatchOutputs
from proxy.core.reports import SecondLevelReport
from proxy.core.units import NS_PER_MS, NS_PER_S

# Entries of policies without an age leave Redis after so long, so that those of versions that are gone do.
LONGEST_TTL_NS = 86_400 * NS_PER_S
# Of look-ups that are not worth it, one in so many is made, to see whether they are again.
PROBE_EVERY = 256
# Share of a new measurement in the mean. Larger: follows sooner, rests less.
WEIGHT = 1 / 16


@dataclass(frozen=True, slots=True)
class SharedAnswer:
    """What another server, or this one earlier, has left. `age_ns`: since it was stored; `saved_ns`: by each hit."""

    outputs: BatchOutputs
    age_ns: int
    saved_ns: int


class SharedModel:
    """`epoch` is the last one seen in Redis; `purges` counts this server's, so that what was read before one is not
    believed after it; while `must_purge`, Redis has not taken the last one yet.
    """

    __slots__ = (
        "_passed", "corrupt", "epoch", "epoch_name", "errors", "hits", "lookup_ns", "misses", "must_purge", "purges",
        "ttl_ns", "writes",
    )  # fmt: skip

    def __init__(self, epoch_name: bytes) -> None:
        self.epoch_name = epoch_name
        self.epoch: bytes | None = None
        self.ttl_ns = 0
        self.must_purge = False
        self.purges = 0
        self.hits = self.misses = self.errors = self.corrupt = self.writes = 0
        self.lookup_ns: float | None = None
        self._passed = 0

    @property
    def kept_ms(self) -> int:
        """How long Redis is to keep an answer, milliseconds."""
        return max((self.ttl_ns or LONGEST_TTL_NS) // NS_PER_MS, 1)

    def is_worth_it(self, service_ns: float | None) -> bool:
        """True if the model takes longer than a look-up, as far as both are known; now and then in any case."""
        if service_ns is None or self.lookup_ns is None or service_ns > self.lookup_ns:
            return True
        self._passed += 1
        return self._passed % PROBE_EVERY == 0

    def took(self, elapsed_ns: int) -> None:
        """A look-up has ended after so long."""
        before_ns = self.lookup_ns
        self.lookup_ns = elapsed_ns if before_ns is None else before_ns + (elapsed_ns - before_ns) * WEIGHT

    def purge(self) -> None:
        """What is in Redis is not to be met any more."""
        self.purges += 1
        self.must_purge = True
        self.epoch = None

    def judge(self, secret: bytes, name: bytes, value: bytes | None, now_unix_ns: int) -> SharedAnswer | None:
        """The answer, if the value is one of ours, of this epoch and not aged; counts what it was."""
        if value is None:
            self.misses += 1
            return None
        try:
            stored = codec.decode(secret, name, value)
        except codec.CorruptEntry:
            self.corrupt += 1
            return None
        age_ns = max(now_unix_ns - stored.stored_unix_ms * NS_PER_MS, 0)
        if stored.epoch != self.epoch or 0 < self.ttl_ns <= age_ns:
            self.misses += 1
            return None
        self.hits += 1
        return SharedAnswer(stored.outputs, age_ns, stored.saved_ns)

    def report(self, state: str, message: str) -> SecondLevelReport:
        """Its counts, with the breaker's state."""
        return SecondLevelReport(
            hits=self.hits,
            misses=self.misses,
            errors=self.errors,
            corrupt=self.corrupt,
            writes=self.writes,
            state=state,
            message=message,
            lookup_ewma_ms=None if self.lookup_ns is None else self.lookup_ns / NS_PER_MS,
        )
