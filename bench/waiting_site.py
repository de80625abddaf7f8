"""The whole server, Celery's worker and beat included, whose instances wait instead of computing.

For bench/scaling: an instance takes the time that a request's first number says (in microseconds) and no core, so that
a machine whose cores are shared does not change what the load is. It imports torch first, as a real one does, since the
time that it takes to be ready is part of what is measured. Everything else is what script/server starts.

As a process: `python -m bench.waiting_site` is the server, with `web` its web process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dlproxy_site import serve, web
from dlproxy_site.supervisor import ChildSpec
from proxy.core.policies import ExecutionPolicy
from proxy.core.snapshot import VersionSnapshot
from proxy.instances.group import InstanceGroup
from proxy.runtime import Runtime

WORKER = "bench.waiting_worker"
COMMAND = (sys.executable, "-m", "bench.waiting_site")


def _make_group(
    runtime: Runtime, version: VersionSnapshot, execution: ExecutionPolicy, on_change: Callable[[InstanceGroup], None]
) -> InstanceGroup:
    return InstanceGroup(
        version, execution, loop=runtime.loop, clock=runtime.clock, on_change=on_change, worker_module=WORKER
    )


def _web() -> int:
    Runtime._make_group = _make_group  # type: ignore[assignment,method-assign]
    return web.main()


def _server() -> int:
    children = serve.children

    def with_our_web(home: Path) -> list[ChildSpec]:
        # The words of the real web process's command line are kept, since the benches find it by them.
        argv = [*COMMAND, "web", "dlproxy_site.web"]
        return [replace(child, argv=argv) if child.name == "web" else child for child in children(home)]

    serve.children = with_our_web
    return serve.main()


if __name__ == "__main__":
    sys.exit(_web() if sys.argv[1:2] == ["web"] else _server())
