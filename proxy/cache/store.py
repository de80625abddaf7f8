"""Answers of one model, least recently used out first, bounded by bytes. No clock, no I/O.

Rules: `size_bytes` never exceeds the bound; an answer larger than the bound is not kept (C7); an aged one is a miss.
"""

from __future__ import annotations

from collections import OrderedDict

from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.tensors import DATATYPES, Tensor

# Bytes of the objects around one entry, one tensor and one row: so chosen that what is charged covers what tracemalloc
# counts on CPython 3.11 (1 348 charged for 1 254 held at ten floats, 21 148 for 15 682 at a thousand; 2026-11).
ENTRY_OVERHEAD_BYTES = 500
TENSOR_OVERHEAD_BYTES = 600
ROW_OVERHEAD_BYTES = 48
# Longest JSON text of one element by its size in bytes, comma included: false, -32768 or a half, 1.17549435e-38 …
JSON_BYTES_PER_ELEMENT = {1: 6, 2: 16, 4: 16, 8: 25}
# Bytes that JSON text writes longer, as up to six: with the zeros of each string's length this covers its quotes, too.
_ESCAPED = bytes(range(32)) + b'"\\\x7f'


class _Entry:
    __slots__ = ("outputs", "size_bytes", "stored_ns", "version_digest")

    def __init__(self, outputs: BatchOutputs, size_bytes: int, stored_ns: int, version_digest: str) -> None:
        self.outputs = outputs
        self.size_bytes = size_bytes
        self.stored_ns = stored_ns
        self.version_digest = version_digest


class LruStore:
    """Key → outputs of one model, under `policy`."""

    __slots__ = ("_entries", "evictions", "expirations", "hits", "misses", "policy", "size_bytes")

    def __init__(self, policy: CachePolicy) -> None:
        self.policy = policy
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self.size_bytes = 0
        self.hits = self.misses = self.evictions = self.expirations = 0

    def __len__(self) -> int:
        return len(self._entries)

    def apply(self, policy: CachePolicy) -> None:
        """Follow `policy` from now on: a smaller bound evicts at once, a disabled cache is emptied."""
        self.policy = policy
        if not policy.enabled:
            self.purge(None)
        self._shrink()

    def get(self, key: bytes, now_ns: int) -> BatchOutputs | None:
        """The outputs kept under `key`, or None."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        if self._is_aged(entry, now_ns):
            self._drop(key)
            self.expirations += 1
            self.misses += 1
            return None
        self._entries.move_to_end(key)
        self.hits += 1
        return entry.outputs

    def put(self, key: bytes, outputs: BatchOutputs, version_digest: str, now_ns: int) -> None:
        """Keep `outputs`, in place of what was there, if they fit at all."""
        if key in self._entries:
            self._drop(key)
        size_bytes = cost_bytes(outputs)
        if size_bytes > self.policy.max_bytes:
            return
        self._entries[key] = _Entry(_owned(outputs), size_bytes, now_ns, version_digest)
        self.size_bytes += size_bytes
        self._shrink()

    def purge(self, version_digest: str | None) -> int:
        """Drop everything, or one version's answers; how many they were."""
        keys = [key for key, entry in self._entries.items() if version_digest in (None, entry.version_digest)]
        for key in keys:
            self._drop(key)
        return len(keys)

    def sweep(self, now_ns: int, limit: int) -> None:
        """Drop the aged among the `limit` entries that were used longest ago."""
        if self.policy.ttl_ns <= 0:
            return
        oldest = [key for key, _ in zip(self._entries, range(limit), strict=False)]
        for key in oldest:
            if self._is_aged(self._entries[key], now_ns):
                self._drop(key)
                self.expirations += 1

    def _is_aged(self, entry: _Entry, now_ns: int) -> bool:
        ttl_ns = self.policy.ttl_ns
        return 0 < ttl_ns <= now_ns - entry.stored_ns

    def _drop(self, key: bytes) -> None:
        self.size_bytes -= self._entries.pop(key).size_bytes

    def _shrink(self) -> None:
        while self.size_bytes > self.policy.max_bytes:
            _, entry = self._entries.popitem(last=False)
            self.size_bytes -= entry.size_bytes
            self.evictions += 1


def cost_bytes(outputs: BatchOutputs) -> int:
    """What keeping `outputs` may come to: data, objects, and the JSON text that the first hit leaves beside them."""
    total = ENTRY_OVERHEAD_BYTES
    rows = max(outputs.rows, 1)
    for tensor in outputs.tensors:
        text_bytes = _text_bytes(tensor) + rows * ROW_OVERHEAD_BYTES
        total += TENSOR_OVERHEAD_BYTES + len(tensor.data) + text_bytes
    return total


def _text_bytes(tensor: Tensor) -> int:
    """The most that a tensor's values take as JSON."""
    element_bytes = DATATYPES[tensor.datatype].size_bytes
    if element_bytes:
        return len(tensor.data) // element_bytes * JSON_BYTES_PER_ELEMENT[element_bytes]
    data = bytes(tensor.data)
    return len(data) + 5 * (len(data) - len(data.translate(None, _ESCAPED)))


def _owned(outputs: BatchOutputs) -> BatchOutputs:
    """The same outputs, holding on to nothing larger than themselves."""
    if all(isinstance(tensor.data, bytes) for tensor in outputs.tensors):
        return outputs
    tensors = tuple(Tensor(t.name, t.datatype, t.shape, bytes(t.data)) for t in outputs.tensors)
    return BatchOutputs(tensors, outputs.rows, batched=outputs.batched)
