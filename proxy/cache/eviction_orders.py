"""The table of eviction policies: an operator's choice → the order that keeps it."""

from __future__ import annotations

from typing import Any

from proxy.cache.eviction import Entry, EvictionOrder
from proxy.cache.eviction_lru import LruOrder
from proxy.cache.eviction_s3_fifo import S3FifoOrder
from proxy.cache.eviction_saved import SavedPerByteOrder
from proxy.cache.eviction_sieve import SieveOrder
from proxy.cache.eviction_w_tinylfu import WTinyLfuOrder
from proxy.core.policies import Eviction

_ORDERS: dict[Eviction, Any] = {
    Eviction.LRU: LruOrder,
    Eviction.S3_FIFO: S3FifoOrder,
    Eviction.SIEVE: SieveOrder,
    Eviction.W_TINYLFU: WTinyLfuOrder,
    Eviction.SAVED_PER_BYTE: SavedPerByteOrder,
}


def eviction_order(eviction: Eviction, max_bytes: int) -> EvictionOrder[Entry]:
    """An empty order for a cache of `max_bytes`."""
    order: EvictionOrder[Entry] = _ORDERS[eviction](max_bytes)
    return order
