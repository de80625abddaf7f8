"""Labels of versions in paths, wherever a number may stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import pytest
from v2_rig import KEY, RESTRICTED_KEY, Client, Reply, Rig, infer_body, request

from proxy.core.snapshot import Snapshot


@pytest.fixture(autouse=True)
def labels(rig: Rig) -> Iterator[None]:
    """`fast` and `stats` are version 1 of echo, `gone` one that is not loaded."""
    known: Snapshot = rig.runtime.pipeline.snapshot
    echo = replace(known.models["echo"], labels=MappingProxyType({"fast": 1, "stats": 1, "gone": 7}))

    def put(snapshot: Snapshot) -> None:
        rig.runtime.pipeline.snapshot = snapshot

    rig.call(lambda: put(replace(known, models={**known.models, "echo": echo})))
    yield
    rig.call(lambda: put(known))


def ask(port: int, rest: str, body: bytes | None = None, key: str = KEY, model: str = "echo") -> Reply:
    target, headers = f"/v2/models/{model}/versions/{rest}", {"Authorization": f"Bearer {key}"}
    with Client(port) as client:
        client.send(request("GET" if body is None else "POST", target, body, headers))
        return client.read()


@pytest.mark.parametrize("label", ["fast", "stats"])
def test_a_label_stands_where_a_number_may(port: int, label: str) -> None:
    answer = ask(port, f"{label}/infer", infer_body([1, 2, 3, 4])).json
    assert (answer["model_version"], answer["outputs"][0]["data"]) == ("1", [1, 2, 3, 4])
    assert ask(port, label).json["name"] == "echo"
    assert ask(port, f"{label}/ready").json == {"name": "echo", "ready": True}
    assert [s["version"] for s in ask(port, f"{label}/stats").json["model_stats"]] == ["1"]


def test_the_default_version_is_stable_unless_somebody_says_otherwise(port: int) -> None:
    assert ask(port, "stable/infer", infer_body([1, 2, 3, 4])).json["model_version"] == "2"
    assert ask(port, "stable/ready").status == 200


@pytest.mark.parametrize(
    "label", ["gone", "unknown", "FAST", "fast%20", "01", "+1", "-1", "1.0", "", "%66ast", "f" * 200]
)
@pytest.mark.parametrize("route", ["", "/infer", "/ready", "/stats"])
def test_r29_what_names_no_loaded_version_is_not_found(port: int, label: str, route: str) -> None:
    reply = ask(port, label + route, infer_body([1, 2, 3, 4]) if route == "/infer" else None)
    assert (reply.status, len(reply.error) < 200) == (404, True)


def test_labels_of_a_model_that_a_key_may_not_ask_say_nothing(port: int) -> None:
    for rest, body in (("stable/infer", infer_body()), ("stable", None), ("stable/ready", None)):
        hidden = ask(port, rest, body, RESTRICTED_KEY, "secret")
        unknown = ask(port, rest, body, RESTRICTED_KEY, "nothing")
        assert (hidden.status, hidden.error) == (404, unknown.error.replace("nothing", "secret"))


def test_our_list_of_models_names_the_labels(port: int) -> None:
    with Client(port) as client:
        client.send(request("GET", "/v2/models"))
        models = {model["name"]: model for model in client.read().json["models"]}
    assert models["echo"]["labels"] == {"fast": "1", "gone": "7", "stats": "1"}
