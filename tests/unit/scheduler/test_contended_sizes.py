"""The bound of an execution while keys contend, where only some sizes are executed."""

from __future__ import annotations

import pytest
from rig import Rig, policy

from proxy.core.units import NS_PER_S
from proxy.scheduler.contention import Contention


@pytest.mark.parametrize(
    ("rows", "padded", "bound"),
    [
        (0, (), 0),
        (13, (), 13),
        (0, (1, 2, 4, 8, 16, 32), 0),
        (13, (1, 2, 4, 8, 16, 32), 8),
        (16, (1, 2, 4, 8, 16, 32), 16),
        (13, (16, 32), 16),  # nothing smaller is ever executed
        (40, (16, 32), 32),
    ],
)
def test_f29_the_bound_while_keys_contend_is_an_allowed_size(rows, padded, bound):
    contention = Contention()
    contention.follow(rows, padded)
    assert contention.rows == bound


def test_f29_while_keys_contend_no_execution_is_padded_beyond_the_bound():
    rig = Rig(the_policy=policy(32, contended_rows=13, padded_rows=(1, 2, 4, 8, 16, 32), fair_share=True))
    for _ in range(100):
        rig.submit(principal_id="key:busy", timeout_ns=60 * NS_PER_S)
    rig.submit(principal_id="key:quiet", timeout_ns=60 * NS_PER_S)
    rig.instances[0].finish()
    while all(request.principal_id == "key:busy" for request in rig.instances[0].current.requests):
        rig.instances[0].finish()
    rig.instances[0].finish()
    batch = rig.instances[0].current
    assert (batch.rows, batch.padded_rows) == (8, 0)
