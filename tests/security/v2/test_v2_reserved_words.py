"""A model may be called like a word of the protocol: every route of it is its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from v2_rig import KEY, RESTRICTED_KEY, Client, Reply, Rig, request

from proxy.core.snapshot import Snapshot
from proxy.endpoint.table import WORDS, Head, find_route

NAMES = sorted({*WORDS, "infer", "ready", "versions", "models", "index", "load", "unload", "metrics", "live", "v2"})


@pytest.fixture(params=NAMES)
def named(request: pytest.FixtureRequest, rig: Rig) -> Iterator[str]:
    """A registered model of that name, beside the others."""
    known: Snapshot = rig.runtime.pipeline.snapshot
    echo = known.models["echo"]
    versions = {number: replace(version, model=request.param) for number, version in echo.versions.items()}
    model = replace(echo, name=request.param, versions=versions)

    def put(snapshot: Snapshot) -> None:
        rig.runtime.pipeline.snapshot = snapshot

    rig.call(lambda: put(replace(known, models={**known.models, request.param: model})))
    yield request.param
    rig.call(lambda: put(known))


def get(port: int, path: str, key: str = KEY) -> Reply:
    with Client(port) as client:
        client.send(request("GET", path, headers={"Authorization": f"Bearer {key}"}))
        return client.read()


def test_a_model_called_like_a_word_answers_on_each_of_its_routes(port: int, named: str) -> None:
    for path in (f"/v2/models/{named}", f"/v2/models/{named}/versions/1"):
        assert get(port, path).json["name"] == named
    statistics = get(port, f"/v2/models/{named}/stats").json["model_stats"]
    assert [(s["name"], s["version"]) for s in statistics] == [(named, "1"), (named, "2")]
    assert get(port, f"/v2/models/{named}/ready").json == {"name": named, "ready": False}
    with Client(port) as client:
        client.send(request(target=f"/v2/models/{named}/infer", body=b"{}"))
        assert "is loading" in client.read().error


def test_whoever_may_not_ask_it_meets_the_words_meaning(port: int, named: str) -> None:
    reply = get(port, f"/v2/models/{named}", RESTRICTED_KEY)
    if named in WORDS:
        assert {s["name"] for s in reply.json["model_stats"]} == {"echo"}
    else:
        assert (reply.status, reply.error) == (
            404,
            get(port, "/v2/models/nosuch", RESTRICTED_KEY).error.replace("nosuch", named),
        )


def test_every_word_in_a_models_place_is_one_that_routes_know() -> None:
    for word, kind in WORDS.items():
        route = find_route(Head("GET", f"/v2/models/{word}".encode(), []))
        assert (route.kind, route.model) == (kind, word)
    assert find_route(Head("GET", b"/v2/models/echo", [])).kind == "model"
