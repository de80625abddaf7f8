"""Positive controls: each detector of the invariant finds the fault that is planted for it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from fault_rig import Footprint, Ledger, echoing, invariant, until_gone

from proxy.instances.shared_memory import SharedArea
from proxy.testing import models

pytestmark = pytest.mark.slow


async def test_a_planted_wrong_answer_is_found(tmp_path):
    version = echoing(tmp_path)
    (tmp_path / "other").mkdir()
    other = models.save_script(tmp_path / "other", "identity", models.from_source("        return x + 0.5"))
    with pytest.raises(AssertionError, match="1 wrong answers"):
        async with invariant(tmp_path) as rig:
            await rig.serve(version)
            await rig.ask("identity", [[1.0, 2.0, 3.0, 4.0]])
            rig.direct.knows(other)
            await rig.ask("identity", [[1.0, 2.0, 3.0, 4.0]])


async def test_an_answer_of_another_version_than_it_names_is_found(tmp_path):
    first = models.save_script(tmp_path, "two", models.from_source("        return x * 1.0"), number=1)
    second = models.save_script(tmp_path, "two", models.from_source("        return x * 3.0"), number=2)
    with pytest.raises(AssertionError, match="two/2 of"):
        async with invariant(tmp_path) as rig:
            await rig.serve(second)
            rig.direct.knows(replace(first, number=2))
            await rig.ask("two", [[1.0, 2.0, 3.0, 4.0]])


async def test_a_request_that_nobody_answers_is_found(tmp_path):
    with pytest.raises(AssertionError, match="sent 1, ended 0"):
        async with invariant(tmp_path) as rig:
            rig.ledger.sent += 1


async def test_a_gauge_that_stays_up_is_found(tmp_path):
    version = echoing(tmp_path)
    with pytest.raises(AssertionError, match="identity/1: in flight 1"):
        async with invariant(tmp_path, limit_s=0.2) as rig:
            await rig.serve(version)
            rig.plane.runtime.scheduler._lanes["identity/1"].in_flight += 1


async def test_a_wait_that_is_given_up_says_how_all_stands(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        await rig.serve(version)
        with pytest.raises(AssertionError) as found:
            await rig.plane.until(lambda: False, 0.1)
    for words in ("within 0.1 s", "identity/1 ready, 1 ready", "identity/1: 0 wait, 0 in flight, 0 executions"):
        assert words in str(found.value)


async def test_a_leaked_descriptor_mapping_and_process_are_found():
    base = Footprint.now()
    read, write = os.pipe()
    area, descriptor = SharedArea.create(4096)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(AssertionError) as found:
            await until_gone(base, limit_s=0.1)
        for words in ("descriptors of pipe", "1 mappings of shared memory", f"processes [{child.pid}]"):
            assert words in str(found.value)
    finally:
        os.close(read)
        os.close(write)
        os.close(descriptor)
        area.close()
        child.communicate()
    await until_gone(base)


def test_a_ledger_that_adds_up_is_not_complained_about():
    ledger = Ledger(sent=3, right=1, left=1)
    ledger.refused[503] += 1
    ledger.add_up()


async def test_a_quiet_plane_leaves_nothing_behind(tmp_path):
    version = echoing(tmp_path)
    async with invariant(tmp_path) as rig:
        await rig.serve(version, instances=2)
        await asyncio.gather(*(rig.ask("identity", [[float(i), 0.5, -1.0, 2.0]] * (1 + i % 3)) for i in range(20)))
        assert rig.ledger.right == 20
