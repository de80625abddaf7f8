"""Answers of one model, least recently used out first, bounded by bytes. No clock, no I/O.

Rules: `size_bytes` never exceeds the bound; an answer larger than the bound is not kept (C7); an aged one is a miss.
"""

from __future__ import annotations

from collections import OrderedDict

from proxy.cache.replies import LONGEST_BODY_BYTES, REPLIES_PER_ENTRY, Replies, Reply
from proxy.core.batches import BatchOutputs
from proxy.core.policies import CachePolicy
from proxy.core.requests import Answer
from proxy.core.snapshot import VersionSnapshot
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
    __slots__ = ("outputs", "replies", "size_bytes", "stored_ns", "version_digest")

    def __init__(self, outputs: BatchOutputs, size_bytes: int, stored_ns: int, version_digest: str) -> None:
        self.outputs = outputs
        self.size_bytes = size_bytes
        self.stored_ns = stored_ns
        self.version_digest = version_digest
        self.replies: tuple[Reply, ...] = ()  # written from these outputs, oldest first; their bytes are in size_bytes


class LruStore:
    """Key → outputs of one model, under `policy`."""

    __slots__ = ("_entries", "_replies", "evictions", "expirations", "hits", "misses", "policy", "size_bytes")

    def __init__(self, policy: CachePolicy) -> None:
        self.policy = policy
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._replies = Replies()
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

    def reply(self, version: VersionSnapshot, body: bytes, now_ns: int) -> Answer | None:
        """The answer that a request with this very body had from the entry that is still kept; counts as a hit.

        None counts as nothing: the body is then read, and `get` asked.
        """
        reply = self._replies.get(version, body)
        if reply is None or self._is_aged(self._entries[reply.key], now_ns):
            return None
        self._entries.move_to_end(reply.key)
        self.hits += 1
        return reply.answer

    def add_reply(self, version: VersionSnapshot, body: bytes, key: bytes, answer: Answer) -> None:
        """Keep how the entry under `key` was answered to a request with this body; its bytes count as the entry's."""
        entry = self._entries.get(key)
        if entry is None or len(body) > LONGEST_BODY_BYTES:
            return
        reply = Reply(version, body, key, answer)
        if entry.size_bytes + reply.size_bytes > self.policy.max_bytes:
            return
        standing = self._replies.at(version, body)
        if standing is not None:
            self._drop_reply(standing)
        if len(entry.replies) >= REPLIES_PER_ENTRY:
            self._drop_reply(entry.replies[0])
        entry.replies = (*entry.replies, reply)
        entry.size_bytes += reply.size_bytes
        self.size_bytes += reply.size_bytes
        self._replies.add(reply)
        self._shrink()

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
        self._gone(self._entries.pop(key))

    def _gone(self, entry: _Entry) -> None:
        """The entry has been taken out: its replies and bytes go, too."""
        for reply in entry.replies:
            self._replies.discard(reply)
        self.size_bytes -= entry.size_bytes

    def _drop_reply(self, reply: Reply) -> None:
        entry = self._entries[reply.key]
        entry.replies = tuple([kept for kept in entry.replies if kept is not reply])
        entry.size_bytes -= reply.size_bytes
        self.size_bytes -= reply.size_bytes
        self._replies.discard(reply)

    def _shrink(self) -> None:
        while self.size_bytes > self.policy.max_bytes:
            _, entry = self._entries.popitem(last=False)
            self._gone(entry)
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
