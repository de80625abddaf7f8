"""A model's configuration in Triton's names."""

from __future__ import annotations

import json
from dataclasses import replace

from v2_models import DIGITS, VOICE, version

from proxy.core.policies import BatchingPolicy, ExecutionPolicy, ModelPolicy, QueuePolicy
from proxy.core.snapshot import ModelSnapshot
from proxy.core.tensors import TensorSpec
from proxy.core.units import NS_PER_MS
from proxy.protocol import v2_config


def config(of, policy: ModelPolicy = ModelPolicy()) -> dict:  # noqa: B008
    model = ModelSnapshot("digits", {3: of, 1: replace(of, number=1)}, 3, 2, policy)
    return json.loads(v2_config.encode(model, of))


def test_a_policy_is_told_in_tritons_names_and_units() -> None:
    policy = ModelPolicy(
        batching=BatchingPolicy(max_rows=16, max_delay_ns=2 * NS_PER_MS, preferred_rows=(4, 8)),
        queue=QueuePolicy(max_requests=7, priority_levels=5, default_priority=3, default_timeout_ns=NS_PER_MS),
        execution=ExecutionPolicy(device="cuda:1"),
    )
    found = config(DIGITS, policy)
    assert (found["max_batch_size"], found["version_policy"]) == (16, {"specific": {"versions": [1, 3]}})
    assert found["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [64]}]
    assert found["instance_group"] == [{"name": "digits_0", "kind": "KIND_GPU", "count": 2}]
    batching = found["dynamic_batching"]
    assert (batching["preferred_batch_size"], batching["max_queue_delay_microseconds"]) == ([4, 8], 2_000)
    assert (batching["priority_levels"], batching["default_priority_level"]) == (5, 3)
    assert batching["default_queue_policy"]["default_timeout_microseconds"] == 1_000
    assert batching["default_queue_policy"]["max_queue_size"] == 7


def test_without_rows_the_shapes_are_whole_and_nothing_is_batched() -> None:
    found = config(VOICE)
    assert (found["max_batch_size"], "dynamic_batching" in found) == (0, False)
    assert [tensor["dims"] for tensor in found["input"]] == [[1, -1], [1]]


def test_strings_have_tritons_name_and_nothing_but_rows_is_reshaped() -> None:
    of = version(TensorSpec("words", "BYTES", (-1, 2)), outputs=(TensorSpec("length", "BF16", (-1,)),))
    found = config(of)
    assert found["input"][0]["data_type"] == "TYPE_STRING"
    assert found["output"] == [{"name": "length", "data_type": "TYPE_BF16", "dims": [1], "reshape": {"shape": []}}]
