"""F30: a model that keeps memory with every request. Its instance is replaced before its limit fails anybody."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fault_rig import invariant
from plane_rig import PLAIN_POLICY

from proxy.core.policies import BatchingPolicy, ExecutionPolicy
from proxy.core.units import BYTES_PER_MIB
from proxy.testing import models

pytestmark = pytest.mark.slow
LIMIT_MIB = 1_400
"""Far above what torch takes in any of its builds, for what grows afterwards counts."""
PIECE = 50.0
"""MiB kept with a request: the last piece before the instance is to be replaced stays below the limit."""
POLICY = replace(
    PLAIN_POLICY,
    execution=ExecutionPolicy(memory_limit_bytes=LIMIT_MIB * BYTES_PER_MIB),
    batching=BatchingPolicy(max_rows=1),
)


async def test_f30_an_instance_whose_model_leaks_is_replaced_beside_before_its_limit_fails_a_request(tmp_path):
    version = models.leaking(tmp_path)
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=POLICY)
        # What is right is the input; the model itself would leak here, too.
        rig.direct._modules[version.model, version.number] = torch.jit.load(
            models.script(tmp_path, "identity").artifact_path
        )
        (leaky,) = rig.ready(version)
        pieces = 0
        while leaky.view(with_memory=True).held_bytes < LIMIT_MIB * BYTES_PER_MIB * 0.9:
            await rig.ask(version.model, [[PIECE, 0.5, 0.0, float(pieces)]])
            pieces += 1
        assert pieces > 1
        while leaky in rig.ready(version):  # goes on being asked until another has taken over
            await rig.ask(version.model, [[0.0, 0.5, 0.0, 1.0]])
        assert await rig.ask(version.model, [[PIECE, 0.5, 0.0, 0.0]])
        await rig.plane.until(lambda: rig.group(version).all_instances() == tuple(rig.ready(version)))
        (fresh,) = rig.ready(version)
        assert fresh is not leaky
        assert rig.ledger.right == rig.ledger.sent
        assert rig.group(version).restarts == 0
        (ended,) = rig.group(version)._exits.reports(0, 0.0)
        assert ended.is_planned
        assert f"close to its limit of {LIMIT_MIB} MiB" in ended.words
