"""A request for which the shared memory has no room is refused with the rule, and everything else is served on."""

from __future__ import annotations

from pathlib import Path

import pytest
from plane_rig import Plane

from proxy.core.units import BYTES_PER_MIB
from proxy.instances.shared_memory import process_bound
from proxy.testing import models

pytestmark = pytest.mark.slow
WIDE = 600_000
"""Columns of an output of 2.3 MiB in one row, which cannot be split."""


def body_of(columns: int) -> dict[str, object]:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [float(columns), 0.0, 0.0, 0.0]}]}


async def test_a_request_without_room_is_a_503_that_may_come_again(plane: Plane, tmp_path: Path, monkeypatch) -> None:
    plane.want(models.widening(tmp_path), default=1)
    await plane.until(lambda: plane.ready("widening/1"))
    pid = plane.ready("widening/1")[0].pid
    bound = process_bound()
    async with plane.client() as client:
        with monkeypatch.context() as context:
            context.setattr(bound, "limit_bytes", bound.held_bytes + BYTES_PER_MIB)
            refused = await client.post("/v2/models/widening/infer", json=body_of(WIDE))
            small = await client.post("/v2/models/widening/infer", json=body_of(3))
        served = await client.post("/v2/models/widening/infer", json=body_of(WIDE))
    assert refused.status_code == 503, refused.text[:200]
    assert "no room for 4 MiB of tensors in shared memory" in refused.json()["error"]
    assert int(refused.headers["retry-after"]) >= 1
    assert small.json()["outputs"][0]["data"] == [1.0] * 3
    assert served.json()["outputs"][0]["shape"] == [1, WIDE]
    assert plane.ready("widening/1")[0].pid == pid
