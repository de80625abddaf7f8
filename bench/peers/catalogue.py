"""How each peer is started, as tuned by hand for each model on a machine of 2 cores.

A recipe is a function of (workload, folder for its files, port) that returns a `Launch`. Peers with more than one port
take the next two, as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.peers.models import dims
from bench.peers.wire import LISTS, V2_BINARY, V2_JSON, Wire

HARNESS = Path(__file__).resolve().parent
SERVERS = HARNESS / "servers"
ROUTE = "/v2/models/m/infer"
_PYTHON = f"python3.{sys.version_info[1]}"


def peers_dir() -> Path:
    """Where bench/peers/setup made the environments."""
    return Path(os.environ.get("DLPROXY_PEERS_DIR", Path.home() / ".cache" / "dlproxy-peers")).resolve()


@dataclass(frozen=True, slots=True)
class Launch:
    """One command line and how to talk to what it starts."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = ROUTE
    wire: Wire = V2_JSON


Recipe = Callable[[str, Path, int], Launch]


def _bin(environment: str, program: str) -> str:
    return str(peers_dir() / "venv" / environment / "bin" / program)


def _env(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}


def plain(_workload: str, _folder: Path, port: int) -> Launch:
    """FastAPI on uvicorn, two workers."""
    argv = (_bin("plain", "uvicorn"), "plain_fastapi:app", "--port", str(port), "--workers", "2")
    return Launch((*argv, "--no-access-log", "--log-level", "warning"), SERVERS)


def mosec(_workload: str, _folder: Path, port: int, **env: Any) -> Launch:
    """Mosec."""
    argv = (_bin("mosec", "python"), "mosec_app.py", "--port", str(port), "--address", "127.0.0.1")
    return Launch((*argv, "--log-level", "warning", "--timeout", "30000"), SERVERS, _env(env))


def pytriton(_workload: str, _folder: Path, port: int, **env: Any) -> Launch:
    """PyTriton."""
    # The backend's stub must meet the libpython of the environment's own python.
    libraries = str(Path(sys.base_prefix) / "lib")
    argv = (_bin("pytriton", "python"), "pytriton_app.py")
    return Launch(argv, SERVERS, _env({"PORT": port, "LD_LIBRARY_PATH": libraries, **env}))


def _tritonserver() -> Path:
    return peers_dir() / "venv" / "pytriton" / "lib" / _PYTHON / "site-packages" / "pytriton" / "tritonserver"


def triton_caches() -> Path:
    """Where Triton's cache libraries lie, if the wheel brings them."""
    return _tritonserver() / "caches"


def triton(
    workload: str, folder: Path, port: int, *, delay_ms: float = 0, wire: Wire = V2_JSON, cache: bool = False
) -> Launch:
    """Triton's own server and Python backend, without PyTriton: 2 instances, batches of 32."""
    server = _tritonserver()
    site = server.parents[1]
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    stub = backend / "triton_python_backend_stub"
    shutil.copy(server / "python_backend_stubs" / f"3.{sys.version_info[1]}" / "triton_python_backend_stub", stub)
    stub.chmod(0o755)
    model = folder / "models" / "m"
    (model / "1").mkdir(parents=True)
    shutil.copy(SERVERS / "triton_model.py", model / "1" / "model.py")
    width_in, width_out = dims(workload)
    (model / "config.pbtxt").write_text(
        f"""name: "m"
backend: "python"
max_batch_size: 32
input [{{name: "x" data_type: TYPE_FP32 dims: [{width_in}]}}]
output [{{name: "y" data_type: TYPE_FP32 dims: [{width_out}]}}]
instance_group [{{kind: KIND_CPU count: 2}}]
dynamic_batching {{ max_queue_delay_microseconds: {int(delay_ms * 1000)} }}
"""
        + ("response_cache { enable: true }\n" if cache else "")
    )
    argv = [str(server / "bin" / "tritonserver"), f"--model-repository={folder}/models"]
    argv += [f"--backend-directory={folder}/backends", "--http-address=127.0.0.1", f"--http-port={port}"]
    argv += ["--allow-grpc=false", "--allow-metrics=false"]
    if cache:
        argv += [f"--cache-directory={triton_caches()}", "--cache-config=local,size=67108864"]
    libraries = [site / "nvidia_pytriton.libs", server / "external_libs", Path(sys.base_prefix) / "lib"]
    env = {"LD_LIBRARY_PATH": ":".join(map(str, libraries)), "PEERS_SITE": site, "PYTHONHOME": sys.base_prefix}
    return Launch(tuple(argv), folder, _env(env), wire=wire)


def litserve(_workload: str, _folder: Path, port: int, **env: Any) -> Launch:
    """LitServe."""
    return Launch((_bin("litserve", "python"), "litserve_app.py"), SERVERS, _env({"PORT": port, **env}))


def mlserver(_workload: str, folder: Path, port: int, *, parallel: int, delay_ms: float) -> Launch:
    """MLServer with adaptive batches of 32."""
    settings = {"debug": False, "host": "127.0.0.1", "http_port": port, "grpc_port": port + 1}
    settings |= {"metrics_endpoint": None, "parallel_workers": parallel, "gzip_enabled": False}
    model = {"name": "m", "implementation": "mlserver_runtime.Runtime"}
    batching = {"max_batch_size": 32, "max_batch_time": delay_ms / 1e3}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model | batching))
    shutil.copy(SERVERS / "mlserver_runtime.py", folder)
    return Launch((_bin("mlserver", "mlserver"), "start", "."), folder, _env({"INPROC": int(parallel == 0)}))


def bentoml(_workload: str, folder: Path, port: int, **env: Any) -> Launch:
    """BentoML."""
    argv = (_bin("bentoml", "bentoml"), "serve", "bentoml_app:M", "--port", str(port), "--host", "127.0.0.1")
    own = {"PORT": port, "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": folder, **env}
    return Launch(argv, SERVERS, _env(own), "/predict", LISTS)


def ray(_workload: str, _folder: Path, port: int, **env: Any) -> Launch:
    """Ray Serve, two replicas, behind HAProxy (its fastest set-up; ports 8404 and 30000 to 41000 must be free)."""
    fast = {"RAY_SERVE_ENABLE_HA_PROXY": 1, "RAY_SERVE_THROUGHPUT_OPTIMIZED": 1, "RAY_SERVE_HAPROXY_NBTHREAD": 1}
    own = {"PORT": port, "RAY_USAGE_STATS_ENABLED": 0, "WORKERS": 2, **fast, **env}
    return Launch((_bin("ray", "python"), "ray_app.py"), SERVERS, _env(own))


def torchserve(_workload: str, folder: Path, port: int, *, workers: int) -> Launch:
    """TorchServe, batches of 32 after at most 2 ms."""
    archiver = [_bin("torchserve", "torch-model-archiver"), "--model-name", "m", "--version", "1", "--force"]
    archiver += ["--handler", str(SERVERS / "torchserve_handler.py"), "--export-path", str(folder)]
    subprocess.run(archiver, check=True, capture_output=True)
    version = {"defaultVersion": True, "marName": "m.mar", "minWorkers": workers, "maxWorkers": workers}
    version |= {"batchSize": 32, "maxBatchDelay": 2, "responseTimeout": 60}
    lines = [
        f"{part}_address=http://127.0.0.1:{port + index}"
        for index, part in enumerate(("inference", "management", "metrics"))
    ]
    lines += ["disable_token_authorization=true", "enable_envvars_config=false", "disable_system_metrics=true"]
    lines += ["metrics_mode=log", "job_queue_size=1000", f"models={json.dumps({'m': {'1': version}})}"]
    lines += ["load_models=m.mar", "install_py_dep_per_model=false", ""]
    (folder / "config.properties").write_text("\n".join(lines))
    argv = [_bin("torchserve", "torchserve"), "--foreground", "--start", "--ncs", "--disable-token-auth"]
    argv += ["--model-store", str(folder), "--ts-config", str(folder / "config.properties"), "--models", "m=m.mar"]
    path = f"{peers_dir()}/venv/torchserve/bin:{os.environ['PATH']}"
    env = {"LOG_LOCATION": folder / "logs", "METRICS_LOCATION": folder / "logs", "PATH": path}
    return Launch(tuple(argv), folder, _env(env), "/predictions/m")


# The best of what was tried for each peer and model; `bench/compare --peers` takes the names.
TINY: dict[str, Recipe] = {
    "plain": plain,
    "mosec": partial(mosec, BATCH=32, DELAY_MS=1),
    "triton": triton,
    "pytriton": partial(pytriton, BATCH=32, DELAY_MS=2),
    "litserve": partial(litserve, BATCH=32, DELAY_MS=0),
    "mlserver": partial(mlserver, parallel=0, delay_ms=0.1),
    "bentoml": partial(bentoml, WORKERS=2),
    "ray": ray,
    "torchserve": partial(torchserve, workers=1),
}
MEDIUM: dict[str, Recipe] = {
    "plain": plain,
    "mosec": partial(mosec, BATCH=32, DELAY_MS=2, WORKERS=2),
    "triton": partial(triton, delay_ms=2),
    "triton-delay0": triton,
    "pytriton": partial(pytriton, BATCH=32, DELAY_MS=2, WORKERS=2),
    "litserve": partial(litserve, BATCH=32, DELAY_MS=2),
    "mlserver": partial(mlserver, parallel=1, delay_ms=2),
    "bentoml": partial(bentoml, WORKERS=2, BATCH=32),
    "ray": partial(ray, BATCH=32),
    "torchserve": partial(torchserve, workers=2),
}
RECIPES = {"tiny": TINY, "medium": MEDIUM}
TRITON_CACHED: Recipe = partial(triton, cache=True)
TRITON_BINARY: Recipe = partial(triton, wire=V2_BINARY)
ENVIRONMENTS = {"triton": "pytriton", "triton-delay0": "pytriton"}


def environment_of(peer: str) -> str:
    """The environment that holds the peer."""
    return ENVIRONMENTS.get(peer, peer)


def is_installed(peer: str) -> bool:
    """Whether bench/peers/setup made the peer's environment to its end."""
    return (peers_dir() / "versions" / f"{environment_of(peer)}.txt").is_file()


def version_of(peer: str) -> dict[str, str]:
    """Versions of the peer's package and of its torch."""
    names = {"plain": ("fastapi", "uvicorn"), "pytriton": ("nvidia-pytriton",), "mosec": ("mosec",)}
    environment = environment_of(peer)
    wanted = (*names.get(environment, (environment,)), "torch")
    frozen = (peers_dir() / "versions" / f"{environment}.txt").read_text().splitlines()
    found = {name: version for name, _, version in (line.partition("==") for line in frozen)}
    return {name: found[name] for name in wanted if name in found}
