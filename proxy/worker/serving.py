"""From an open channel to a ready instance: configuration, libraries, sandbox, artifact, warm-up, loop."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from proxy.core.tensors import Signature
from proxy.core.words import of_error, replaced, say
from proxy.frames.config import InstanceConfig, InvalidConfig
from proxy.frames.messages import Error, ErrorCode, Load, Loading, Ready, Stage
from proxy.worker import golden
from proxy.worker import sandbox as sandboxes
from proxy.worker.backends import prepare
from proxy.worker.backends.base import Backend, UnusableArtifact, shortened
from proxy.worker.loop import Link, Server
from proxy.worker.warmup import parse_sample_option, warm_up

EXIT_LOAD_FAILED = 3
_DIGEST_CHARACTERS = 64
_SIDES = {"inputs": say("inputs"), "outputs": say("outputs"), "input": say("input"), "output": say("output")}


def run(link: Link, parent_pid: int, scratch: str) -> int:
    """Load what the first message says and serve it until told to stop. Returns the exit status."""
    message = link.receive()
    if not isinstance(message, Load):
        return EXIT_LOAD_FAILED
    try:
        config = InstanceConfig.from_json(message.config_json)
        server, ready = _load(link, config, parent_pid, scratch)
    except (UnusableArtifact, InvalidConfig, sandboxes.LimitTooLow) as error:
        link.send(Error(0, ErrorCode.LOAD_FAILED, str(error)))
        return EXIT_LOAD_FAILED
    except Exception as error:
        link.send(Error(0, ErrorCode.LOAD_FAILED, f"{type(error).__name__}: {shortened(error)}"))
        return EXIT_LOAD_FAILED
    link.send(ready)
    server.serve()
    return 0


def _load(link: Link, config: InstanceConfig, parent_pid: int, scratch: str) -> tuple[Server, Ready]:
    document = golden.read_document(config)
    backend_class, sandbox = confine(config, parent_pid, scratch)
    link.send(Loading())
    started_ns = time.perf_counter_ns()
    backend, signature = open_checked(backend_class, config)
    samples = golden.parse(document, signature)
    hints = parse_sample_option(config.options.get("sample"))
    batch_rows = config.batch_rows if config.batchable else ()
    recorded = samples[0].inputs if samples else ()
    link.send(Loading(Stage.WARMING))
    warm_up(backend, signature, hints, _log, recorded=recorded, batch_rows=batch_rows)
    if samples:
        link.send(Loading(Stage.VERIFYING))
    golden.check(backend, signature, samples, batchable=config.batchable)
    gc.collect()
    gc.freeze()
    server = Server(link, backend, signature, batchable=config.batchable, max_response_bytes=config.max_response_bytes)
    details = {"device": backend.device, "sandbox": sandbox.measures}
    ready = Ready(time.perf_counter_ns() - started_ns, resident_bytes(), json.dumps(details).encode())
    return server, ready


def confine(config: InstanceConfig, parent_pid: int, scratch: str) -> tuple[type[Backend], sandboxes.Sandbox]:
    """Import the format's libraries and lock the process down; the artifact has not been touched when this returns."""
    if not Path(config.artifact_path).is_file():
        raise UnusableArtifact(say("The artifact is missing from the server's store."))
    sandbox = sandboxes.Sandbox(scratch)
    sandbox.begin(parent_pid, config.artifact_path)
    backend_class = prepare(config)
    sandbox.close(config.artifact_path, config.memory_limit_bytes, cuda=_uses_cuda())
    return backend_class, sandbox


def open_artifact(backend_class: type[Backend], config: InstanceConfig) -> Backend:
    """Open the artifact if it is the one that was stored. Raises UnusableArtifact, in words without our paths."""
    if len(config.digest) == _DIGEST_CHARACTERS:
        _check_digest(config)
    try:
        return backend_class.open(config)
    except UnusableArtifact as error:
        raise UnusableArtifact(replaced(of_error(error), config.artifact_path, "the artifact")) from error


def open_checked(backend_class: type[Backend], config: InstanceConfig) -> tuple[Backend, Signature]:
    """Open the artifact and hold it against the configured signature. Raises UnusableArtifact."""
    backend = open_artifact(backend_class, config)
    signature = config.signature or backend.signature
    if signature is None:
        raise UnusableArtifact(say("Neither the artifact nor its configuration says what goes in and out."))
    if backend.signature is not None and config.signature is not None:
        check_agreement(backend.signature, config.signature)
    return backend, signature


def check_agreement(own: Signature, configured: Signature) -> None:
    """Raise UnusableArtifact unless the artifact's own signature and the configured one can both be true."""
    for side in ("inputs", "outputs"):
        ours, theirs = getattr(own, side), getattr(configured, side)
        if len(ours) != len(theirs):
            raise UnusableArtifact(
                say(
                    "The artifact has %(count)s %(side)s; the signature declares %(declared)s.",
                    count=len(ours),
                    side=_SIDES[side],
                    declared=len(theirs),
                )
            )
        for actual, declared in zip(ours, theirs, strict=True):
            compatible = len(actual.shape) == len(declared.shape) and all(
                -1 in (a, b) or a == b for a, b in zip(actual.shape, declared.shape, strict=True)
            )
            if actual.datatype != declared.datatype or not compatible:
                raise UnusableArtifact(
                    say(
                        "The artifact's %(side)s %(name)s is %(found)s; "
                        "the signature declares %(other)s as %(wanted)s.",
                        side=_SIDES[side[:-1]],
                        name=repr(actual.name),
                        found=f"{actual.datatype} {list(actual.shape)}",
                        other=repr(declared.name),
                        wanted=f"{declared.datatype} {list(declared.shape)}",
                    )
                )


def _check_digest(config: InstanceConfig) -> None:
    with Path(config.artifact_path).open("rb") as artifact:
        digest = hashlib.file_digest(artifact, "sha256").hexdigest()
    if digest != config.digest:
        raise UnusableArtifact(
            say("The stored artifact is damaged: its SHA-256 differs from the one recorded at upload. Upload it again.")
        )


def _uses_cuda() -> bool:
    torch = sys.modules.get("torch")
    return bool(torch is not None and torch.cuda.is_available())


def resident_bytes() -> int:
    """Memory of this process now: resident pages, and what torch holds on the GPU."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    on_gpu = sys.modules["torch"].cuda.memory_allocated() if _uses_cuda() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") + int(on_gpu)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
