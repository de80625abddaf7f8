"""The times of an execution: what an instance claims never exceeds what the parent saw."""

from __future__ import annotations

import pytest

from proxy.core.batches import BatchOutputs, BatchResult
from proxy.core.totals import VersionTotals

OUTPUTS = BatchOutputs((), 1, batched=True)


@pytest.mark.parametrize(
    ("claimed", "kept"),
    [((10, 20), (10, 20)), ((2**63, 5), (100, 0)), ((60, 2**63), (60, 40)), ((2**63, 2**63), (100, 0))],
)
def test_u33_claimed_times_are_cut_to_the_whole(claimed: tuple[int, int], kept: tuple[int, int]) -> None:
    result = BatchResult(OUTPUTS, 1, 100, *claimed)
    assert (result.input_ns, result.output_ns) == kept
    totals = VersionTotals()
    totals.executed_batch(2, 3, result.service_ns, result.input_ns, result.output_ns)
    assert min(totals.input_ns, totals.infer_ns, totals.output_ns) >= 0
    assert totals.input_ns + totals.infer_ns + totals.output_ns == 3 * 100
