"""F28: whoever is refused asks again at once, three times. The instance works only for answers.

That goodput is the same with and without such clients is held where no clock of this machine counts
(tests/simulation/test_scheduler_policies.py, `test_f28_…`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from fault_rig import FaultRig, invariant
from plane_rig import HANGS_S, KEY, PATIENT_QUEUE, PLAIN_POLICY

from proxy.core.policies import BatchingPolicy
from proxy.core.units import NS_PER_S
from proxy.testing import models
from proxy.testing.clients import Reply, at_planned_times, inference

pytestmark = pytest.mark.slow
WORKS = """
        total = 0
        for i in range(200000):
            total = (total * 31 + i) % 1000003
        return x * 2.0 + float(total) * 0.0
"""
POLICY = replace(PLAIN_POLICY, batching=BatchingPolicy(max_rows=1), queue=replace(PATIENT_QUEUE, max_requests=8))
RETRIES = 3
OVERLOAD = 4
ARRIVALS = 200


@dataclass
class Storm:
    """Clients that come at planned times and ask again at once when they are refused."""

    rig: FaultRig
    ended: Counter[str] = field(default_factory=Counter)
    hints_s: list[float] = field(default_factory=list)
    all_ended: asyncio.Event = field(default_factory=asyncio.Event)

    def come(self, number: int, _: float) -> None:
        self.ask(float(number), RETRIES)

    def ask(self, value: float, left: int) -> None:
        ledger = self.rig.ledger
        ledger.sent += 1

        def on_reply(reply: Reply | None) -> None:
            if reply is None:
                ledger.errored["broken"] += 1
                self.end("broken")
            elif reply.status == 200:
                if reply.rows == [[value * 2.0] * 4]:
                    ledger.right += 1
                else:
                    ledger.wrong.append(f"{value}: {reply.rows}")
                self.end("answered")
            else:
                ledger.refused[reply.status] += 1
                self.hints_s.append(reply.retry_after_s or 0)
                if left:
                    self.ask(value, left - 1)
                else:
                    self.end("gave up")

        self.rig.clients.ask(inference("net", [[value] * 4], KEY), on_reply)

    def end(self, how: str) -> None:
        self.ended[how] += 1
        if self.ended.total() == ARRIVALS:
            self.all_ended.set()


async def test_f28_a_retry_storm_costs_no_execution_and_its_clients_are_told_different_times(tmp_path):
    version = models.save_script(tmp_path, "net", models.from_source(WORKS))
    async with invariant(tmp_path) as rig:
        await rig.serve(version, policy=POLICY)
        (instance,) = rig.ready(version)
        loop = asyncio.get_running_loop()
        for value in range(1, 11):
            await rig.ask("net", [[float(value)] * 4])
        service_s = instance.busy_ns / instance.executions / NS_PER_S
        before = instance.executions
        right_before = rig.ledger.right
        begun_s = loop.time()
        storm = Storm(rig)
        await at_planned_times([begun_s + n * service_s / OVERLOAD for n in range(ARRIVALS)], storm.come)
        async with asyncio.timeout(HANGS_S):
            await storm.all_ended.wait()

        answered, refused = storm.ended["answered"], rig.ledger.refused
        assert storm.ended.keys() == {"answered", "gave up"}
        assert set(refused) == {503}
        # Each of those who gave up had all their tries, and what was refused cost no execution.
        assert refused.total() >= storm.ended["gave up"] * (RETRIES + 1)
        assert instance.executions - before == answered == rig.ledger.right - right_before
        # Told to come back at different times, though they were refused together.
        assert min(storm.hints_s) >= 1
        assert len(set(storm.hints_s)) > 1
