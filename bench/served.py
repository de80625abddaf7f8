"""One model of proxy.testing, served by the whole server, for the benches of overload and of faults."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import registry
from bench.harness import HOST, SERVE, Site, new_home, serving
from proxy.testing import models

PLAIN = {"cache_enabled": False, "autoscale": False}
_ROW = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
}


@dataclass(slots=True)
class Served:
    """A running server, one model of it, and the keys. `version` is the default one, as the bench last made it."""

    site: Site
    model: str
    key: str
    admin_key: str
    version: int = 1

    @property
    def host(self) -> str:
        """Where the inference port is."""
        return HOST

    @property
    def port(self) -> int:
        """The inference port."""
        return self.site.inference_port

    def web(self) -> psutil.Process:
        """The process that holds the connections."""
        return self.site.processes("dlproxy_site.web")[0]

    def instances(self) -> list[psutil.Process]:
        """The worker processes, in the order of their start."""
        return sorted(self.site.processes("proxy.worker"), key=psutil.Process.create_time)

    def set_policy(self, **fields: Any) -> None:
        """Change the model's policy and wait until the data plane has read it."""
        registry.set_policy(self.site, self.admin_key, self.model, **fields)

    def set_instances(self, count: int) -> None:
        """Want so many instances, and wait until they answer."""
        self.set_policy(min_instances=count, max_instances=count)
        end_s = time.monotonic() + 60
        while len(self.ready()) != count:
            if time.monotonic() > end_s:
                raise RuntimeError(f"there are not {count} instances: {self.ready()}")
            time.sleep(0.1)

    def ready(self) -> list[int]:
        """Process ids of the default version's instances that answer."""
        mine = (row for row in self._instances() if row["version"] == self.version)
        return [row["pid"] for row in mine if row["state"] == "ready"]

    def _instances(self) -> list[dict[str, Any]]:
        status, content = self.site.api("GET", "/api/v1/instances", self.admin_key)
        if status != 200:
            raise RuntimeError(f"the instances cannot be read: {status} {content}")
        rows = content["results"] if isinstance(content, dict) else content
        return [row for row in rows if row["model"] == self.model]

    def wait_ready_versions(self, count: int) -> None:
        """Wait until so many versions have an instance that answers."""
        end_s = time.monotonic() + 60
        while len({row["version"] for row in self._instances() if row["state"] == "ready"}) < count:
            if time.monotonic() > end_s:
                raise RuntimeError(f"there are not {count} versions ready")
            time.sleep(0.1)

    def add_version(self, body: str) -> None:
        """Upload another version, whose `forward(x)` has this TorchScript body, and wait until it is validated."""
        upload(self.site, self.admin_key, self.model, body)


@contextlib.contextmanager
def served(model: str, body: str, *, command: Sequence[str] = SERVE, **policy: Any) -> Iterator[Served]:
    """The whole server with one model whose `forward(x)` has this TorchScript body; stopped afterwards."""
    with new_home(demo=False) as environment, serving(environment, command=command) as site:
        admin_key = site.admin_key()
        status, answer = site.api("POST", "/api/v1/models", admin_key, {"name": model})
        if status != 201:
            raise RuntimeError(f"the model was not made: {status} {answer}")
        upload(site, admin_key, model, body)
        registry.wait_until_ready(site, model)
        one = Served(site, model, site.first_run["api_key"], admin_key)
        one.set_policy(**{**PLAIN, **policy})
        yield one


def upload(site: Site, admin_key: str, model: str, body: str) -> None:
    """Upload a version and wait until its validation has ended well."""
    with tempfile.TemporaryDirectory(prefix="dlproxy-upload-") as folder:
        version = models.save_script(Path(folder), model, models.from_source(body))
        number = registry.upload_file(site, admin_key, model, Path(version.artifact_path), _ROW)
    path, end_s = f"/api/v1/models/{model}/versions/{number}", time.monotonic() + 120
    while (found := site.api("GET", path, admin_key)[1])["state"] != "ready":
        if found["state"] == "failed" or time.monotonic() > end_s:
            raise RuntimeError(f"version {number} of {model} did not become ready: {found}")
        time.sleep(0.1)
