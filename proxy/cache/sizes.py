"""What keeping an answer costs in memory, with its key, the objects around it and the text that hits leave. Pure.

What is charged covers what tracemalloc counts on CPython 3.11, for every eviction policy; docs/caching.md has both
beside the growth of a whole process, and the commands (bench/cache_memory).
"""

from __future__ import annotations

from proxy.core.batches import BatchOutputs
from proxy.core.tensors import DATATYPES, Tensor

# Bytes of the objects around one entry: itself, its key, its place in the store and in the eviction order, a
# remembered key (S3-FIFO) or counters (W-TinyLFU). The most of any policy, so that no cost changes with the policy.
ENTRY_OVERHEAD_BYTES = 1_000
# Of the objects around one tensor and its text (all rows in one: an entry is one request's).
TENSOR_OVERHEAD_BYTES = 600
# Longest JSON text of one element by its size in bytes, comma included: false, -32768 or a half, 1.17549435e-38 …
JSON_BYTES_PER_ELEMENT = {1: 6, 2: 16, 4: 16, 8: 25}
# Bytes that JSON text writes longer, as up to six: with the zeros of each string's length this covers its quotes, too.
_ESCAPED = bytes(range(32)) + b'"\\\x7f'


def cost_bytes(outputs: BatchOutputs) -> int:
    """What keeping `outputs` may come to: data, objects, and the JSON text that the first hit leaves beside them."""
    total = ENTRY_OVERHEAD_BYTES
    for tensor in outputs.tensors:
        total += TENSOR_OVERHEAD_BYTES + len(tensor.data) + _text_bytes(tensor)
    return total


def _text_bytes(tensor: Tensor) -> int:
    """The most that a tensor's values take as JSON."""
    element_bytes = DATATYPES[tensor.datatype].size_bytes
    if element_bytes:
        return len(tensor.data) // element_bytes * JSON_BYTES_PER_ELEMENT[element_bytes]
    data = bytes(tensor.data)
    return len(data) + 5 * (len(data) - len(data.translate(None, _ESCAPED)))
