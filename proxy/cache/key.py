"""Says when two requests must have the same answer: one digest over everything that the answer depends on. Pure.

    key = BLAKE2b-192(version, tenant, then per input: name, datatype, shape, bytes, then the sorted requested outputs)

Rules: every part is preceded by its length, so no two different lists of parts encode alike (C1). The version's part
holds the artifact's digest and how it is run, never only its number (C2). The tenant's part keeps tenants apart unless
the model is shared (C3). Id, priority, timeout and how the answer is written (JSON or binary, highest classes) are not
in it: no parameter of a request reaches a model (proxy.protocol.parameters refuses those it does not know), so outputs
depend on none; one that did would have to become a part of the key.
Why not xxh3: it is four times faster, but a client that chooses its inputs could make two of them meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from struct import pack

from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Tensor

# Bytes of a key. A collision by choice costs about 2^(4·n) tries; 24 leaves 2^96. Larger: nothing but memory.
KEY_BYTES = 24
_ALL_OUTPUTS = b"\x00"
_ALL_TENANTS = b"\x00"


def begun_key(version: VersionSnapshot, tenant: str | None) -> blake2b:
    """What all keys of a tenant's requests to the version begin with. `tenant` None: the model's answers go to all."""
    return blake2b(version_part(version) + tenant_part(tenant), digest_size=KEY_BYTES)


def request_key(begun: blake2b, inputs: Iterable[Tensor], outputs: tuple[str, ...] | None) -> bytes:
    """The key of a request; what `begun` stands for is read, not changed. `outputs` None means all of them."""
    digest = begun.copy()
    for tensor in inputs:
        data = tensor.data
        digest.update(_tensor_head(tensor.name, tensor.datatype, tensor.shape, len(data)))
        digest.update(data)
    digest.update(_ALL_OUTPUTS if outputs is None else b"\x01" + _lengths_and_parts(*sorted(set(outputs))))
    return digest.digest()


def version_part(version: VersionSnapshot) -> bytes:
    """What the answer owes to the version: artifact, format, options, and whether state or rows matter."""
    options = (part for item in sorted(version.options.items()) for part in item)
    flags = f"{version.batchable:d}{version.stateful:d}"
    return _lengths_and_parts("dlproxy-2", version.model, version.digest, version.format, flags, *options)


def tenant_part(tenant: str | None) -> bytes:
    """On whose account it is asked. None: the model's answers are given to all."""
    return _ALL_TENANTS if tenant is None else b"\x01" + _lengths_and_parts(tenant)


@lru_cache(maxsize=1_024)
def _tensor_head(name: str, datatype: str, shape: tuple[int, ...], data_bytes: int) -> bytes:
    return _lengths_and_parts(name, datatype, pack(f"<{len(shape)}q", *shape)) + pack("<Q", data_bytes)


def _lengths_and_parts(*parts: str | bytes) -> bytes:
    """The number of parts, then each part after its length."""
    encoded = [part.encode() if isinstance(part, str) else part for part in parts]
    return pack("<I", len(encoded)) + b"".join(pack("<Q", len(part)) + part for part in encoded)
