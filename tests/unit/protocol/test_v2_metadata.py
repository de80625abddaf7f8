"""Health and metadata bodies."""

from __future__ import annotations

import json

from v2_models import DIGITS

from proxy.core.snapshot import ModelSnapshot
from proxy.protocol import v2_metadata

MODEL = ModelSnapshot("digits", {10: DIGITS, 3: DIGITS}, 3, 1)


def test_the_server_claims_what_it_does() -> None:
    body = json.loads(v2_metadata.server("1.2"))
    assert (body["name"], body["version"]) == ("dlproxy", "1.2")
    assert body["extensions"] == [
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "schedule_policy",
        "statistics",
    ]


def test_a_models_metadata_declares_its_signature() -> None:
    assert json.loads(v2_metadata.model(MODEL, DIGITS)) == {
        "name": "digits",
        "versions": ["3", "10"],
        "platform": "pytorch_torchscript",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 10]}],
    }


def test_readiness_is_said_in_both_spellings() -> None:
    assert json.loads(v2_metadata.live(is_live=True)) == {"live": True}
    assert json.loads(v2_metadata.server_ready(is_ready=False)) == {"live": False, "ready": False}
    assert json.loads(v2_metadata.ready("digits", is_ready=True)) == {"name": "digits", "ready": True}


def test_the_list_names_versions_and_readiness() -> None:
    empty = ModelSnapshot("empty", {}, None, 0, labels={"old": 1})
    assert json.loads(v2_metadata.models([(MODEL, True), (empty, False)])) == {
        "models": [
            {"name": "digits", "versions": ["3", "10"], "default_version": "3", "labels": {}, "ready": True},
            {"name": "empty", "versions": [], "default_version": None, "labels": {"old": "1"}, "ready": False},
        ]
    }
