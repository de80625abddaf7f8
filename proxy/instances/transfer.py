"""A batch into an instance's request area, and its outputs out of the response area: one copy each.

Place: called by the instance at the begin and the end of an execution. Rules: an area too small is replaced by a larger
one; how much of it was used is noted, so that it can be made smaller when large batches no longer come.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.core.batches import Batch, BatchOutputs
from proxy.frames.messages import Area, Entry
from proxy.instances.layout import GarbageAnswer, fill, lay_out, take_outputs
from proxy.instances.link import Link
from proxy.instances.shared_memory import LARGEST_AREA_BYTES


def put(link: Link, batch: Batch) -> tuple[Entry, ...] | None:
    """Copy the batch's inputs into the request area; None if the process is gone (its exit follows).

    Raises ValueError (bytes and shapes differ, too large), NoRoom or OSError (no memory, no descriptor).
    """
    entries, size_bytes = lay_out(batch)
    area = link.area(Area.REQUEST)
    if size_bytes > area.size_bytes:
        if not link.replace_area(Area.REQUEST, size_bytes):
            return None
        area = link.area(Area.REQUEST)
    if size_bytes > area.used_bytes:
        area.used_bytes = size_bytes
    fill(area.memory, batch, entries)
    return entries


def take(link: Link, batch: Batch, entries: Sequence[Entry]) -> BatchOutputs:
    """Copy the outputs out of the response area. Raises GarbageAnswer if they are not what they must be."""
    area = link.area(Area.RESPONSE)
    outputs = take_outputs(batch, area.memory, area.size_bytes, entries)
    used_bytes = entries[-1].offset + entries[-1].size_bytes
    if used_bytes > area.used_bytes:
        area.used_bytes = used_bytes
    return outputs


def make_room(link: Link, size_bytes: int) -> None:
    """Give the instance a response area of `size_bytes`. Raises GarbageAnswer, NoRoom or OSError."""
    if not link.area(Area.RESPONSE).size_bytes < size_bytes <= LARGEST_AREA_BYTES:
        raise GarbageAnswer(f"it asks for a response area of {size_bytes} bytes")
    link.replace_area(Area.RESPONSE, size_bytes)
