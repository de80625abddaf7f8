"""Models in our server, put there as users do (uploads over the API), and many registered ones at once."""

from __future__ import annotations

import http.client
import json
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from bench.harness import HOST, Site, model_ready
from bench.peers import models
from bench.peers.wire import V2_JSON, Wire
from bench.target import Endpoint

_READY_LIMIT_S = 180

# Rows are written directly: validating 1,000 uploads would take an hour. Each is a model whose version is ready.
# Those not loaded share no artifact, since nothing opens it; loaded ones get a link to that of `tiny`.
_ADD = """
import os, uuid
from models_admin.models import Model, ModelVersion, Policy, ScalingState
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import writing
source = ModelVersion.objects.select_related("model").get(model__name="tiny")
names = [f"fleet-{{index:04d}}" for index in range({first}, {last})]
models = Model.objects.bulk_create([Model(name=name, loaded={loaded}) for name in names])
Policy.objects.bulk_create([Policy(model=model, cache_enabled=False) for model in models])
ScalingState.objects.bulk_create([ScalingState(model=model, wanted_instances=1) for model in models])
copied = ("digest", "size_bytes", "format", "options", "signature", "declared_signature", "batchable", "state")
fields = {{name: getattr(source, name) for name in copied}}
versions = ModelVersion.objects.bulk_create(
    [ModelVersion(model=model, number=1, artifact_id=uuid.uuid4(), **fields) for model in models]
)
if {loaded}:
    for version in versions:
        artifact_path(version).parent.mkdir(parents=True, exist_ok=True)
        os.link(artifact_path(source), artifact_path(version))
for model, version in zip(models, versions):
    model.default_version = version
Model.objects.bulk_update(models, ["default_version"])
writing.publish()
"""
_REMOVE = """
from models_admin.models import Model
from models_admin.services import writing
Model.objects.filter(name__startswith="fleet-").update(default_version=None)
Model.objects.filter(name__startswith="fleet-").delete()
writing.publish()
"""


def upload(site: Site, admin_key: str, workload: str) -> None:
    """Create the model, upload its TorchScript file and wait until it answers (validation included)."""
    _expect(site.api("POST", "/api/v1/models", admin_key, {"name": workload}), 201)
    with tempfile.TemporaryDirectory(prefix="dlproxy-upload-") as folder:
        path = Path(folder) / f"{workload}.pt"
        models.export(workload, path)
        _expect(_post_file(site, f"/api/v1/models/{workload}/versions", admin_key, path), 201)
    wait_until_ready(site, workload)


def upload_file(site: Site, admin_key: str, model: str, path: Path, signature: dict[str, Any]) -> int:
    """Upload a version of a model that there is, with the signature declared beside it; returns its number."""
    declared = {"declared_signature": json.dumps(signature)}
    status, answer = _post_file(site, f"/api/v1/models/{model}/versions", admin_key, path, declared)
    _expect((status, answer), 201)
    return int(answer["number"])


def wait_until_ready(site: Site, model: str) -> None:
    """Return when the model answers."""
    end_s = time.monotonic() + _READY_LIMIT_S
    key = site.first_run["api_key"]
    while not model_ready(site.inference_port, model, key):
        if time.monotonic() > end_s or site.process.poll() is not None:
            raise RuntimeError(f"{model} is not ready:\n" + (site.home / "output.log").read_text()[-3_000:])
        time.sleep(0.1)


def set_policy(site: Site, admin_key: str, model: str, **fields: Any) -> None:
    """Change a model's policy and wait until the data plane has read it."""
    _expect(site.api("PATCH", f"/api/v1/models/{model}/policy", admin_key, fields), 200)
    time.sleep(2)


def endpoint(site: Site, model: str, wire: Wire = V2_JSON) -> Endpoint:
    """How clients call one of our models: on the inference port, with the key of the first run."""
    key = {"Authorization": f"Bearer {site.first_run['api_key']}"}
    return Endpoint(site.inference_port, f"/v2/models/{model}/infer", wire, key)


def extensions(site: Site) -> list[str]:
    """What the server's metadata says that it can do."""
    connection = http.client.HTTPConnection(HOST, site.inference_port, timeout=10)
    try:
        connection.request("GET", "/v2")
        names: list[str] = json.loads(connection.getresponse().read())["extensions"]
    finally:
        connection.close()
    return names


def add_models(site: Site, first: int, last: int, *, loaded: bool = False) -> None:
    """Register models `fleet-<first>` to `fleet-<last - 1>`, each with a ready version; returns once known."""
    site.manage("shell", "--command", _ADD.format(first=first, last=last, loaded=loaded))
    _wait_for_listing(site, f"fleet-{last - 1:04d}", present=True)


def remove_models(site: Site) -> None:
    """Take all of them away again."""
    site.manage("shell", "--command", _REMOVE)
    _wait_for_listing(site, "fleet-", present=False)


def count_models(site: Site) -> int:
    """How many models the data plane lists."""
    return len(json.loads(_listing(site))["models"])


def _wait_for_listing(site: Site, text: str, *, present: bool) -> None:
    end_s = time.monotonic() + 60
    while (text.encode() in _listing(site)) is not present:
        if time.monotonic() > end_s:
            raise RuntimeError(f"the data plane has not read the change of {text}")
        time.sleep(0.1)


def _listing(site: Site) -> bytes:
    connection = http.client.HTTPConnection(HOST, site.inference_port, timeout=10)
    try:
        connection.request("GET", "/v2/models", headers={"Authorization": f"Bearer {site.first_run['api_key']}"})
        return connection.getresponse().read()
    finally:
        connection.close()


def _post_file(site: Site, path: str, key: str, file: Path, fields: dict[str, str] | None = None) -> tuple[int, Any]:
    boundary = uuid.uuid4().hex
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in (fields or {}).items()
    )
    head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
    connection = http.client.HTTPConnection(HOST, site.port, timeout=120)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(content) if content else None


def _expect(answer: tuple[int, Any], status: int) -> None:
    if answer[0] != status:
        raise RuntimeError(f"the server answered {answer[0]}, not {status}: {answer[1]}")
