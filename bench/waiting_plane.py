"""The data plane alone, in a process of its own, with an instance whose executions wait instead of computing.

For bench/overload on a machine whose cores are not free: the instance takes the time that a request's first number says
(in microseconds) and no core, as a model on an accelerator does. Sockets, parsing, admission, batching, the channel and
the instance's process are the real ones; the control plane and the model are not there.

As a process: `python -m bench.waiting_plane ROWS` prints the port when it serves, and ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from bench.harness import HOST, ROOT
from proxy.core.policies import BatchingPolicy, CachePolicy, ExecutionPolicy, ModelPolicy, ScalingPolicy
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.instances.group import InstanceGroup
from proxy.runtime import Runtime, RuntimeConfig
from proxy.testing.misbehaving_worker import WAITS
from proxy.testing.models import ROW

MODEL = "waits"
KEY = "dlp_" + "w" * 43
WORKER = "proxy.testing.misbehaving_worker"


@dataclass(slots=True)
class WaitingPlane:
    """What bench/overload asks of a server."""

    process: subprocess.Popen[str]
    port: int
    host: str = HOST
    model: str = MODEL
    key: str = KEY

    def web(self) -> psutil.Process:
        """The process that holds the connections."""
        return psutil.Process(self.process.pid)

    def instances(self) -> list[psutil.Process]:
        """The worker processes."""
        return [child for child in self.web().children() if WORKER in " ".join(child.cmdline())]


@contextlib.contextmanager
def waiting_plane(rows: int) -> Iterator[WaitingPlane]:
    """A running data plane; ended afterwards."""
    command = [sys.executable, "-m", "bench.waiting_plane", str(rows)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process without pipes")
        yield WaitingPlane(process, int(process.stdout.readline()))
        process.stdin.close()


async def _serve(rows: int, folder: Path) -> None:
    artifact = folder / "nothing"
    artifact.write_bytes(b"")
    digest = hashlib.sha256(b"").hexdigest()
    version = VersionSnapshot(MODEL, 1, digest, str(artifact), "torchscript", ROW, options={"misbehave": WAITS})
    policy = ModelPolicy(
        batching=BatchingPolicy(max_rows=rows), cache=CachePolicy(enabled=False), scaling=ScalingPolicy(enabled=False)
    )
    key = KeySnapshot("1", "bench", hashlib.sha256(KEY.encode()).hexdigest())
    snapshot = Snapshot(1, {MODEL: ModelSnapshot(MODEL, {1: version}, 1, 1, policy)}, {key.digest_hex: key})
    runtime = Runtime(
        RuntimeConfig(inference_port=0),
        lambda known: None if known == snapshot.generation else snapshot,
        lambda report: None,
    )

    def make_group(
        of: VersionSnapshot, execution: ExecutionPolicy, on_change: Callable[[InstanceGroup], None]
    ) -> InstanceGroup:
        return InstanceGroup(
            of, execution, loop=runtime.loop, clock=runtime.clock, on_change=on_change, worker_module=WORKER
        )

    runtime._make_group = make_group  # type: ignore[method-assign]
    await runtime.start()
    while not runtime.manager.routes.answers(version):
        await asyncio.sleep(0.01)
    print(runtime.inference_port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runtime.stop()


def main() -> int:
    """Serve until the input ends."""
    with tempfile.TemporaryDirectory(prefix="dlproxy-waiting-") as folder:
        uvloop.run(_serve(int(sys.argv[1]), Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
