"""The JSON that a LOAD message carries: everything an instance needs to know before it opens its artifact.

Place: the parent (instances) writes it, the worker reads it. Rules: fixed fields; unknown ones are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from proxy.core.tensors import DATATYPES, Signature, TensorSpec
from proxy.core.words import of_error, say

MAX_TENSORS = 64
MAX_RANK = 16


class InvalidConfig(ValueError):
    """A configuration or signature that cannot be meant; the words say which part."""


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """How an instance opens and runs its artifact.

    `signature` None: only what the artifact says of itself counts (validation). `digest` is the artifact's SHA-256 in
    hexadecimal, checked before it is opened, or empty. `device`: `auto`, `cpu`, `cuda` or `cuda:N`. `batch_rows` are
    the sizes to be warm for. `golden_path` is a document of samples that must be reproduced, or empty,
    `golden_digest` its SHA-256.
    """

    artifact_path: str
    format: str
    signature: Signature | None
    digest: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    batchable: bool = True
    stateful: bool = False
    threads: int = 1
    memory_limit_bytes: int = 0
    max_response_bytes: int = 0
    device: str = "auto"
    batch_rows: tuple[int, ...] = ()
    golden_path: str = ""
    golden_digest: str = ""

    def to_json(self) -> bytes:
        """Encode for a LOAD message."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["options"] = dict(self.options)
        values["signature"] = signature_to_dict(self.signature) if self.signature else None
        return json.dumps(values, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> InstanceConfig:
        """Decode a LOAD message. Raises InvalidConfig."""
        try:
            values = json.loads(text)
            if values.get("signature") is not None:
                values["signature"] = signature_from_dict(values["signature"])
            values["batch_rows"] = tuple(map(int, values.get("batch_rows", ())))
            return cls(**values)
        except (TypeError, AttributeError, ValueError) as error:
            raise InvalidConfig(
                say("The instance's configuration is broken: %(error)s", error=of_error(error))
            ) from error


def signature_to_dict(signature: Signature) -> dict[str, list[dict[str, Any]]]:
    """Return `{"inputs": [{"name", "datatype", "shape"}], "outputs": [...]}`."""
    plain = asdict(signature)
    return {side: [{**spec, "shape": list(spec["shape"])} for spec in plain[side]] for side in ("inputs", "outputs")}


def signature_from_dict(value: object) -> Signature:
    """Read a signature that a person or an artifact declares. Raises InvalidConfig with words for that person."""
    if not isinstance(value, dict):
        raise InvalidConfig(say('A signature is a JSON object with "inputs" and "outputs".'))
    unknown = set(value) - {"inputs", "outputs"}
    if unknown:
        names = sorted(map(str, unknown))
        raise InvalidConfig(say('A signature has only "inputs" and "outputs", not %(names)s.', names=names))
    return Signature(_specs(value.get("inputs"), "inputs"), _specs(value.get("outputs"), "outputs"))


def _specs(value: object, side: str) -> tuple[TensorSpec, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TENSORS:
        raise InvalidConfig(say('"%(side)s" must be a list of 1 to %(most)s tensors.', side=side, most=MAX_TENSORS))
    specs = tuple(_spec(item, f"{side}[{index}]") for index, item in enumerate(value))
    names = [spec.name for spec in specs]
    if len(set(names)) != len(names):
        raise InvalidConfig(say('Two tensors in "%(side)s" have the same name.', side=side))
    return specs


def _spec(value: object, where: str) -> TensorSpec:
    if not isinstance(value, dict) or set(value) != {"name", "datatype", "shape"}:
        raise InvalidConfig(
            say('%(where)s must be an object with exactly "name", "datatype" and "shape".', where=where)
        )
    name, datatype, shape = value["name"], value["datatype"], value["shape"]
    if not isinstance(name, str) or not 1 <= len(name) <= 256:
        raise InvalidConfig(say("%(where)s: the name must be 1 to 256 characters.", where=where))
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise InvalidConfig(
            say(
                "%(where)s: unknown datatype %(datatype)s; known are %(known)s.",
                where=where,
                datatype=f"{datatype!r:.40}",
                known=", ".join(DATATYPES),
            )
        )
    if not isinstance(shape, list) or len(shape) > MAX_RANK:
        raise InvalidConfig(
            say("%(where)s: the shape must be a list of at most %(most)s sizes.", where=where, most=MAX_RANK)
        )
    for size in shape:
        if type(size) is not int or size < -1 or size == 0 or size > 2**40:
            raise InvalidConfig(
                say(
                    "%(where)s: a size must be a positive integer, or -1 for any; %(size)s is not.",
                    where=where,
                    size=f"{size!r:.40}",
                )
            )
    return TensorSpec(name, datatype, tuple(shape))
