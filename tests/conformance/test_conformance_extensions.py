"""Statistics, the repository's index, and labels of versions (ours only): the kit's fourth part."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conformance_cast import HEADER, OCTETS, RAW_OUTPUTS, Target

STATISTICS_LAG_S = 2.0


def test_statistics_grow_by_what_was_asked(target: Target) -> None:
    target.needs("statistics")

    def read() -> dict[str, Any]:
        response = target.allowed(target.client.get(f"{target.path}/stats"))
        return {s["version"]: s for s in response.json()["model_stats"]}

    def grown() -> list[tuple[int, int]]:
        """Rows and requests of each version since `before`."""
        counts = []
        for version, found in read().items():
            old = before[version]
            requests = found["inference_stats"]["success"]["count"] - old["inference_stats"]["success"]["count"]
            counts.append((found["inference_count"] - old["inference_count"], requests))
        return sorted(counts, reverse=True)

    before = read()
    target.outputs(target.infer_binary(target.arrays(3), **RAW_OUTPUTS))
    give_up = time.monotonic() + STATISTICS_LAG_S
    while grown()[0] != (3, 1) and time.monotonic() < give_up:
        time.sleep(0.02)  # a server may count after it has answered
    first, *others = grown()
    assert first == (3, 1)
    assert set(others) <= {(0, 0)}


def test_statistics_hold_true_durations(target: Target) -> None:
    target.needs("statistics")
    for seed in range(3):
        target.outputs(target.infer_binary(target.arrays(2, seed), **RAW_OUTPUTS))
    time.sleep(STATISTICS_LAG_S / 20)
    found = target.allowed(target.client.get(f"{target.path}/stats")).json()["model_stats"]
    asked = max(found, key=lambda statistics: statistics["inference_count"])
    times = asked["inference_stats"]
    assert times["success"]["count"] >= 3
    compute = ("compute_input", "compute_infer", "compute_output")
    assert len({times[name]["count"] for name in compute}) == 1
    assert times["compute_infer"]["ns"] > 0
    cached = times["cache_hit"]["ns"] if "cache_hit" in times else 0
    parts_ns = sum(times[name]["ns"] for name in ("queue", *compute)) + cached
    assert parts_ns <= times["success"]["ns"] + times["fail"]["ns"], "the parts take longer than the whole"
    batches = asked["batch_stats"]
    assert sum(batch["compute_infer"]["count"] for batch in batches) == asked["execution_count"]
    assert sum(batch["batch_size"] * batch["compute_infer"]["count"] for batch in batches) == asked["inference_count"]


def test_a_label_stands_for_a_version(binary: Target) -> None:
    if binary.client.get("/v2").json()["name"] != "dlproxy":
        pytest.skip("labels are not part of the protocol")
    path = f"{binary.path}/versions/stable"
    assert binary.client.get(path).json()["name"] == binary.model
    assert binary.client.get(f"{path}/ready").status_code == 200
    expected = binary.infer_binary(binary.arrays(), **RAW_OUTPUTS)
    headers = {HEADER: expected.request.headers[HEADER], "content-type": OCTETS}
    assert binary.infer(expected.request.content, path, headers).content == expected.content


def test_the_configuration_agrees_with_the_metadata(target: Target) -> None:
    target.needs("model_configuration")
    config = target.allowed(target.client.get(f"{target.path}/config")).json()
    assert config["name"] == target.model
    for side in ("input", "output"):
        declared = target.metadata[f"{side}s"]
        assert [tensor["name"] for tensor in config[side]] == [spec["name"] for spec in declared]
        for tensor, spec in zip(config[side], declared, strict=True):
            assert tensor["data_type"] == "TYPE_" + {"BYTES": "STRING"}.get(spec["datatype"], spec["datatype"])
            shape = tensor.get("reshape", {}).get("shape", tensor["dims"])
            assert [int(size) for size in shape] == spec["shape"][1 if config["max_batch_size"] else 0 :]


def test_the_index_lists_the_model_as_ready(target: Target) -> None:
    target.needs("model_repository")
    response = target.allowed(target.client.post("/v2/repository/index", json={}))
    states = {entry["state"] for entry in response.json() if entry["name"] == target.model}
    assert states == {"READY"}
