"""The statistics and model repository extensions over real sockets, the same on both ports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from v2_rig import ADMIN_KEY, KEY, RESTRICTED_KEY, Client, Reply, Rig, infer_body, request

ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
REPOSITORY = ("index", "models/echo/load", "models/echo/unload")


def ask(port: int, data: bytes) -> Reply:
    with Client(port) as client:
        client.send(data)
        return client.read()


def stats(port: int, path: str = "/echo/versions/1", key: str = KEY) -> list[dict[str, Any]]:
    reply = ask(port, request("GET", f"/v2/models{path}/stats", headers={"Authorization": f"Bearer {key}"}))
    assert reply.status == 200, reply.body
    return reply.json["model_stats"]


def repository(port: int, path: str, body: Any = None, key: str = ADMIN_KEY) -> Reply:
    data = b"" if body is None else json.dumps(body).encode()
    return ask(port, request(target=f"/v2/repository/{path}", body=data, headers={"Authorization": f"Bearer {key}"}))


def test_statistics_count_every_answer_execution_and_row(port: int) -> None:
    (before,) = stats(port)
    one = request(target="/v2/models/echo/versions/1/infer", body=infer_body([1, 2, 3, 4]))
    three = request(target="/v2/models/echo/versions/1/infer", body=infer_body(*[[1, 2, 3, 4]] * 3))
    for data in (one, one, three):
        assert ask(port, data).status == 200
    (after,) = stats(port)

    def grown(*path: str) -> int:
        values = []
        for found in (after, before):
            for name in path:
                found = found[name]  # noqa: PLW2901
            values.append(found)
        return values[0] - values[1]

    assert (after["name"], after["version"]) == ("echo", "1")
    assert (grown("inference_count"), grown("execution_count")) == (5, 3)
    for name in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert grown("inference_stats", name, "count") == 3
    assert grown("inference_stats", "success", "ns") > 0
    assert grown("inference_stats", "fail", "count") == 0
    by_rows = [
        {s["batch_size"]: s["compute_infer"]["count"] for s in found["batch_stats"]} for found in (after, before)
    ]
    assert {rows: by_rows[0][rows] - by_rows[1].get(rows, 0) for rows in (1, 3)} == {1: 2, 3: 1}
    assert set(after) == {
        "name",
        "version",
        "last_inference",
        "inference_count",
        "execution_count",
        "inference_stats",
        "response_stats",
        "batch_stats",
        "memory_usage",
    }


@pytest.mark.parametrize("body", [b"{", infer_body([1, 2, 3, 4], outputs=[{"name": "nothing"}])])
def test_a_body_that_cannot_be_read_counts_as_failed(port: int, body: bytes) -> None:
    (before,) = stats(port)
    assert ask(port, request(target="/v2/models/echo/versions/1/infer", body=body)).status == 400
    (after,) = stats(port)
    old, new = before["inference_stats"], after["inference_stats"]
    assert new["fail"]["count"] == old["fail"]["count"] + 1
    assert new["fail"]["ns"] > old["fail"]["ns"]
    assert new["success"] == old["success"]


def test_statistics_of_a_model_and_of_all(port: int) -> None:
    assert [(s["name"], s["version"]) for s in stats(port, "/echo")] == [("echo", "1"), ("echo", "2")]
    assert len(stats(port, "")) == 4
    assert {s["name"] for s in stats(port, "", RESTRICTED_KEY)} == {"echo"}


def test_statistics_need_a_key_for_the_model(port: int) -> None:
    assert ask(port, request("GET", "/v2/models/stats", headers={"Authorization": None})).status == 401
    for path in ("/v2/models/secret/stats", "/v2/models/nothing/stats"):
        reply = ask(port, request("GET", path, headers={"Authorization": f"Bearer {RESTRICTED_KEY}"}))
        assert reply.status == 404
    assert ask(port, request("GET", "/v2/models/echo/versions/9/stats")).status == 404


@pytest.mark.parametrize("path", REPOSITORY)
def test_the_repository_is_for_admin_keys_only_and_nothing_changes(rig: Rig, port: int, path: str) -> None:
    generation = rig.runtime.pipeline.snapshot.generation
    assert ask(port, request(target=f"/v2/repository/{path}", body=b"", headers={"Authorization": None})).status == 401
    for key in (KEY, RESTRICTED_KEY):
        assert repository(port, path, key=key).status == 403
    assert ask(port, request("GET", f"/v2/repository/{path}", headers=ADMIN)).status == 405
    assert rig.runtime.pipeline.snapshot.generation == generation


def test_the_index_lists_versions_with_their_states(port: int) -> None:
    everything = repository(port, "index").json
    assert [(e["name"], e["version"], e["state"]) for e in everything] == [
        (name, number, "READY") for name in ("echo", "secret") for number in ("1", "2")
    ]
    assert repository(port, "index", {"ready": True}).json == everything


def test_a_model_is_unloaded_and_loaded_and_each_answer_tells_the_truth(port: int) -> None:
    unload = {"parameters": {"unload_dependents": False}}
    assert repository(port, "models/secret/unload", unload).status == 200
    assert ask(port, request(target="/v2/models/secret/infer", body=infer_body())).status == 503
    assert ask(port, request("GET", "/v2/models/secret/ready")).status == 503
    index = {(e["name"], e.get("version")): e["state"] for e in repository(port, "index").json}
    assert index[("echo", "2")] == "READY"
    assert "READY" not in [state for (name, _), state in index.items() if name == "secret"]
    assert repository(port, "models/secret/unload").status == 200  # again changes nothing
    assert repository(port, "models/secret/load").status == 200
    assert ask(port, request(target="/v2/models/secret/infer", body=infer_body())).status == 200
    assert repository(port, "models/secret/load", {}).status == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("models/echo/load", {"parameters": {"config": "{}"}}, "upload it"),
        ("models/echo/load", {"parameters": {"file:1/model.pt": "AAAA"}}, "upload it"),
        ("models/echo/load", {"parameters": {"x": 1}}, '"x" is unknown'),
        ("models/echo/unload", {"x": 1}, "unknown field"),
        ("models/echo/unload", [], "expected object"),
        ("index", {"ready": "yes"}, "ready: expected boolean"),
    ],
)
def test_repository_bodies_are_held_to_what_has_an_effect(port: int, path: str, body: Any, words: str) -> None:
    reply = repository(port, path, body)
    assert reply.status == 400
    assert words in reply.error


def test_an_unknown_model_is_not_found_and_a_long_body_refused(port: int) -> None:
    assert repository(port, "models/nothing/load").status == 404
    assert repository(port, "index", {"x": "y" * 70_000}).status == 413
