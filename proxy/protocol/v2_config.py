"""A version's signature and its model's policy → the body of the model configuration extension. Pure.

Only what this server does stands in it, in the names and units of Triton's `ModelConfig` (microseconds; `dims` without
the rows of a batchable version; a rank of nothing but rows as `dims` 1, reshaped to none).
Source: Triton's model configuration extension; `model_config.proto`.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.core.policies import ModelPolicy
from proxy.core.snapshot import ModelSnapshot, VersionSnapshot
from proxy.core.tensors import TensorSpec
from proxy.core.units import NS_PER_US
from proxy.protocol.v2_metadata import PLATFORMS

_TYPES = {"BYTES": "TYPE_STRING"}
_KINDS = {"auto": "KIND_AUTO", "cpu": "KIND_CPU"}


def encode(model: ModelSnapshot, version: VersionSnapshot) -> bytes:
    """The answer to `GET /v2/models/{name}/config`."""
    policy = model.policy
    config: dict[str, Any] = {
        "name": model.name,
        "platform": PLATFORMS.get(version.format, version.format),
        "backend": version.format,
        "version_policy": {"specific": {"versions": sorted(model.versions)}},
        "max_batch_size": policy.batching.max_rows if version.batchable else 0,
        "input": [_tensor(spec, batchable=version.batchable) for spec in version.signature.inputs],
        "output": [_tensor(spec, batchable=version.batchable) for spec in version.signature.outputs],
        "instance_group": [
            {
                "name": f"{model.name}_0",
                "kind": _KINDS.get(policy.execution.device, "KIND_GPU"),
                "count": model.wanted_instances,
            }
        ],
        "response_cache": {"enable": policy.cache.enabled and version.cacheable},
    }
    if version.batchable:
        config["dynamic_batching"] = _batching(policy)
    return orjson.dumps(config)


def _tensor(spec: TensorSpec, *, batchable: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": spec.name,
        "data_type": _TYPES.get(spec.datatype, f"TYPE_{spec.datatype}"),
        "dims": list(spec.shape[1:] if batchable else spec.shape),
    }
    if not found["dims"]:
        found |= {"dims": [1], "reshape": {"shape": []}}
    return found


def _batching(policy: ModelPolicy) -> dict[str, Any]:
    queue = policy.queue
    return {
        "preferred_batch_size": list(policy.batching.preferred_rows),
        "max_queue_delay_microseconds": policy.batching.max_delay_ns // NS_PER_US,
        "preserve_ordering": False,
        "priority_levels": queue.priority_levels,
        "default_priority_level": queue.default_priority,
        "default_queue_policy": {
            "timeout_action": "REJECT",
            "default_timeout_microseconds": queue.default_timeout_ns // NS_PER_US,
            "allow_timeout_override": True,
            "max_queue_size": queue.max_requests,
        },
    }
