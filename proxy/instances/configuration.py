"""What an instance is told before it opens its artifact, and what it says of itself once it is ready. Pure."""

from __future__ import annotations

import json

from proxy.core.policies import ExecutionPolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.frames.config import InstanceConfig
from proxy.instances.layout import GarbageAnswer
from proxy.instances.shared_memory import LARGEST_AREA_BYTES


def configuration(version: VersionSnapshot, policy: ExecutionPolicy, threads: int) -> InstanceConfig:
    """Return the content of the LOAD message."""
    return InstanceConfig(
        version.artifact_path,
        version.format,
        version.signature,
        version.digest,
        version.options,
        batchable=version.batchable,
        stateful=version.stateful,
        threads=threads,
        memory_limit_bytes=policy.memory_limit_bytes,
        max_response_bytes=LARGEST_AREA_BYTES,
        device=policy.device,
        batch_rows=policy.batch_rows,
        golden_path=version.golden_path,
        golden_digest=version.golden_digest,
    )


def ready_details(details_json: bytes) -> tuple[str, dict[str, str]]:
    """Return the device and what of the sandbox is active, cut to lengths for a page. Raises GarbageAnswer."""
    try:
        details = json.loads(details_json)
        sandbox = {str(name)[:64]: str(text)[:200] for name, text in details["sandbox"].items()}
        return str(details["device"])[:64], sandbox
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GarbageAnswer("an unreadable ready message") from error
