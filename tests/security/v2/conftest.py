"""The server of the V2 security tests; both ports by one fixture where the row does not depend on framing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from v2_rig import IN_PROCESS, Client, Rig, infer_body, request


def _artifact(folder: Path) -> Path:
    path = folder / "echo.pt"
    if IN_PROCESS:
        path.write_bytes(b"stands for a model; instances in memory do not read it")
        return path
    import torch

    class Echo(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.script(Echo()).save(str(path))
    return path


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    running = Rig(_artifact(tmp_path_factory.mktemp("v2")))
    yield running
    running.stop()


@pytest.fixture(params=["inference port", "dashboard port"])
def port(request: pytest.FixtureRequest, rig: Rig) -> int:
    """Both listeners, which must give the same answers."""
    return rig.inference_port if request.param == "inference port" else rig.asgi_port


@pytest.fixture(autouse=True)
def still_serves(rig: Rig) -> Iterator[None]:
    """After every attack, on both ports, the next good request is answered rightly and nothing is left in flight."""
    yield
    for number in (rig.inference_port, rig.asgi_port):
        with Client(number) as client:
            client.send(request(body=infer_body([9, 8, 7, 6])))
            assert client.read().json["outputs"][0]["data"] == [9, 8, 7, 6]
    lane = rig.lane()
    assert (lane.queue_depth, lane.in_flight) == (0, 0)
