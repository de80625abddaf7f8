"""The kit's options and the server under test: one given by URL, else our own, started for the run."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from conformance_cast import Target
from conformance_server import ADMIN_KEY, OwnServer


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--url", help="server to test, such as http://localhost:8001; without it our own is started")
    group.addoption("--model", help="model to ask: stateless, with a first dimension for rows in every input")
    group.addoption("--key", help="sent as `Authorization: Bearer …`")


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    server = OwnServer(tmp_path_factory.mktemp("conformance"))
    yield server
    server.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "model_name" in metafunc.fixturenames:
        given = metafunc.config.getoption("--url", default=None)
        models = [metafunc.config.getoption("--model")] if given else ["pair", "kinds", "words"]
        if None in models:
            raise pytest.UsageError("--url needs --model")
        metafunc.parametrize("model_name", models, scope="session")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, model_name: str) -> Iterator[Target]:
    url, key = request.config.getoption("--url", default=None), request.config.getoption("--key", default=None)
    if url is None:
        url, key = request.getfixturevalue("own_server").url, ADMIN_KEY
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        yield Target(client, model_name)


@pytest.fixture
def binary(target: Target) -> Target:
    target.needs("binary_tensor_data")
    return target
