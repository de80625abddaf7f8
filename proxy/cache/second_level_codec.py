"""Answers as bytes for a cache that others can write to: what does not prove where it comes from is not read. Pure.

    value  = magic "DLPC" | layout (1 B) | seal (32 B) | body
    body   = stored at, Unix ms (8 B) | model time saved by a hit, ns (8 B) | epoch (16 B) | batched (1 B) | rows (8 B)
             | tensors (4 B), then for each name bytes (2 B), name, datatype code (1 B), rank (1 B),
             dimensions (8 B each), data bytes (8 B), data
    seal   = BLAKE2b-256 over the name under which it is kept and the body, keyed with the deployment's secret
    name   = "dlproxy:1:" | BLAKE2b-192 over the request's key, keyed with the secret

Rules: never pickle; the seal is compared before anything else is read, so only what a server with the same secret wrote
is decoded at all, and only under the name that it was written for: an altered, cut or moved value is `CorruptEntry`
(C5). The epoch is one of a model's; an entry of another one is outdated, not corrupt. All numbers little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from math import prod
from struct import Struct, error, pack

from proxy.core.batches import BatchOutputs
from proxy.core.tensors import DATATYPES, Tensor

MAGIC = b"DLPC"
LAYOUT = 1
SEAL_BYTES = 32
EPOCH_BYTES = 16
NAME_PREFIX = b"dlproxy:1:"
_HEAD = MAGIC + bytes((LAYOUT,))
_BODY_AT = len(_HEAD) + SEAL_BYTES
_FIXED = Struct(f"<qQ{EPOCH_BYTES}s?QI")
_NAME = Struct("<H")
_CODE_AND_RANK = Struct("<BB")
_LENGTH = Struct("<Q")
_DATATYPE_OF = {datatype.code: name for name, datatype in DATATYPES.items()}


class CorruptEntry(ValueError):
    """The bytes are not what a server of this deployment wrote under this name."""


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A decoded value. `epoch`: the model's when it was written. `saved_ns`: model time that a hit saves."""

    outputs: BatchOutputs
    stored_unix_ms: int
    saved_ns: int
    epoch: bytes


def derive_secret(signing_key: str) -> bytes:
    """The seal's key, from the deployment's signing key; says nothing of the latter."""
    return blake2b(signing_key.encode(), digest_size=32, person=b"dlproxy-cache-2").digest()


def entry_name(secret: bytes, key: bytes) -> bytes:
    """Where the answer to the request with this cache key is kept. Who reads names cannot test guesses of inputs."""
    return NAME_PREFIX + blake2b(key, digest_size=24, key=secret, person=b"entry").digest()


def epoch_name(secret: bytes, model: str) -> bytes:
    """Where the model's epoch is kept."""
    return NAME_PREFIX + blake2b(model.encode(), digest_size=24, key=secret, person=b"epoch").digest()


def encode(secret: bytes, name: bytes, answer: StoredAnswer) -> bytes:
    """The value to be kept under `name`."""
    outputs = answer.outputs
    parts: list[bytes | bytearray | memoryview] = [
        _FIXED.pack(
            answer.stored_unix_ms, answer.saved_ns, answer.epoch, outputs.batched, outputs.rows, len(outputs.tensors)
        )
    ]
    for tensor in outputs.tensors:
        name_bytes = tensor.name.encode()
        parts += (
            _NAME.pack(len(name_bytes)),
            name_bytes,
            _CODE_AND_RANK.pack(DATATYPES[tensor.datatype].code, len(tensor.shape)),
            pack(f"<{len(tensor.shape)}q", *tensor.shape),
            _LENGTH.pack(len(tensor.data)),
            tensor.data,
        )
    body = b"".join(parts)
    return b"".join((_HEAD, _seal(secret, name, body), body))


def decode(secret: bytes, name: bytes, value: bytes) -> StoredAnswer:
    """What was kept under `name`. Raises CorruptEntry."""
    view = memoryview(value)
    body = view[_BODY_AT:]
    if view[: len(_HEAD)] != _HEAD or not compare_digest(_seal(secret, name, body), view[len(_HEAD) : _BODY_AT]):
        raise CorruptEntry("the seal does not fit")
    try:
        return _read(body)
    except (error, KeyError, UnicodeDecodeError) as fault:  # sealed by a server of ours that writes otherwise
        raise CorruptEntry(f"sealed, but not readable: {fault}") from None


def _seal(secret: bytes, name: bytes, body: bytes | memoryview) -> bytes:
    digest = blake2b(name, digest_size=SEAL_BYTES, key=secret, person=b"seal")  # names are all of one length
    digest.update(body)
    return digest.digest()


def _read(body: memoryview) -> StoredAnswer:
    stored_unix_ms, saved_ns, epoch, batched, rows, count = _FIXED.unpack_from(body)
    at = _FIXED.size
    tensors = []
    for _ in range(count):
        (name_bytes,) = _NAME.unpack_from(body, at)
        at += _NAME.size
        name = str(body[at : at + name_bytes], "utf-8")
        at += name_bytes
        code, rank = _CODE_AND_RANK.unpack_from(body, at)
        at += _CODE_AND_RANK.size
        dimensions = Struct(f"<{rank}q")
        shape = dimensions.unpack_from(body, at)
        at += dimensions.size
        (data_bytes,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        data = bytes(body[at : at + data_bytes])
        at += data_bytes
        tensors.append(_checked(Tensor(name, _DATATYPE_OF[code], shape, data), data_bytes))
    if at != len(body):
        raise CorruptEntry(f"{len(body) - at} bytes follow the last tensor")
    return StoredAnswer(BatchOutputs(tuple(tensors), rows, batched=batched), stored_unix_ms, saved_ns, epoch)


def _checked(tensor: Tensor, data_bytes: int) -> Tensor:
    element_bytes = DATATYPES[tensor.datatype].size_bytes
    wanted_bytes = prod(tensor.shape) * element_bytes if element_bytes else data_bytes
    if not len(tensor.data) == data_bytes == wanted_bytes:
        raise CorruptEntry(f"tensor {tensor.name} has {len(tensor.data)} bytes where {wanted_bytes} belong")
    return tensor
