"""Our server in a comparison: a home of its own for each model, prepared once, then started as a user starts it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from bench import registry
from bench.harness import Site, new_home, serving
from bench.peers.wire import V2_JSON, Wire
from bench.target import Endpoint


@dataclass(slots=True)
class Home:
    """A data directory with one model, its cache off; everything else as it comes."""

    environment: dict[str, str]
    workload: str
    admin_key: str
    extensions: list[str]


@contextlib.contextmanager
def prepared(workload: str) -> Iterator[Home]:
    """Make the home, upload the model over the API, switch its cache off, stop the server again."""
    with new_home(demo=False) as environment:
        with serving(environment) as site:
            key = site.admin_key()
            registry.upload(site, key, workload)
            registry.set_policy(site, key, workload, cache_enabled=False)
            found = registry.extensions(site)
        yield Home(environment, workload, key, found)


class OurServer:
    """The whole server (`manage.py serve`: web, Celery worker, beat), ready when its context is entered."""

    def __init__(self, home: Home, wire: Wire = V2_JSON) -> None:
        self._home = home
        self._wire = wire
        self._stack = contextlib.ExitStack()
        self.cold_start_s = 0.0

    def __enter__(self) -> OurServer:
        began_s = time.monotonic()
        self.site: Site = self._stack.enter_context(serving(self._home.environment, (self._home.workload,)))
        self.cold_start_s = time.monotonic() - began_s
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def endpoint(self) -> Endpoint:
        """Where to ask."""
        return registry.endpoint(self.site, self._home.workload, self._wire)

    @property
    def admin_key(self) -> str:
        """For the admin API."""
        return self._home.admin_key

    def processes(self) -> list[psutil.Process]:
        """Supervisor, web, Celery's two, and every instance."""
        supervisor = psutil.Process(self.site.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def web_process(self) -> psutil.Process:
        """The one that holds the connections."""
        return self.site.processes("dlproxy_site.web")[0]

    def instances(self) -> int:
        """How many worker processes run."""
        return len(self.site.processes("proxy.worker"))
