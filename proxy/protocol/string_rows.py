"""A BYTES output → JSON strings, row by row; rows whose bytes are not UTF-8 are told apart.

Why not Latin-1 or base64: the client could not tell such a string from one that the model meant.
"""

from __future__ import annotations

from math import prod

import orjson

from proxy.core.tensors import Tensor, take_elements

PIECE_ELEMENTS = 65_536  # encoded at once: about 10 ms; larger: fewer calls, longer waits of others


def encode(tensor: Tensor, parts: int) -> tuple[list[bytes], frozenset[int]]:
    """The output's values in `parts` equal texts, joined by commas, and which of the parts are not UTF-8."""
    data = bytes(tensor.data)
    elements = prod(tensor.shape) // parts
    texts: list[bytes] = []
    unreadable: set[int] = set()
    at = 0
    for part in range(parts):
        pieces = []
        for done in range(0, elements, PIECE_ELEMENTS):
            values, at = take_elements(data, at, min(elements - done, PIECE_ELEMENTS))
            try:
                pieces.append(orjson.dumps([value.decode() for value in values])[1:-1])
            except UnicodeDecodeError:
                unreadable.add(part)
        texts.append(b",".join(pieces))
    return texts, frozenset(unreadable)
