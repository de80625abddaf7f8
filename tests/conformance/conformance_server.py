"""Our own data plane in a thread, with real instance processes, for a kit that asks it by URL only."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import uvloop

from proxy.authorization.keys import digest_hex
from proxy.core.policies import BatchingPolicy, CachePolicy, ModelPolicy, ScalingPolicy
from proxy.core.principals import Principal
from proxy.core.snapshot import KeySnapshot, ModelSnapshot, Snapshot, VersionSnapshot
from proxy.core.tensors import Signature, TensorSpec
from proxy.runtime import Runtime, RuntimeConfig
from proxy.testing.models import save_script, scripted

ADMIN_KEY = "dlp_" + "A" * 43
PATIENCE_S = 180.0
KINDS = ("BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64")


def pair(folder: Path, number: int) -> VersionSnapshot:
    """Two inputs of different datatypes, two outputs: `scaled` is left × number, `total` the sum of right."""
    module = scripted(
        f"def forward(self, left: Tensor, right: Tensor):\n    return left * {float(number)}, torch.sum(right, dim=1)\n"
    )
    inputs = (TensorSpec("left", "FP32", (-1, 4)), TensorSpec("right", "INT64", (-1, 3)))
    outputs = (TensorSpec("scaled", "FP32", (-1, 4)), TensorSpec("total", "INT64", (-1,)))
    return save_script(folder, "pair", module, signature=Signature(inputs, outputs), number=number)


def kinds(folder: Path) -> VersionSnapshot:
    """Every datatype that torch has, given back as it came."""
    names = [kind.lower() for kind in KINDS]
    arguments = ", ".join(f"{name}: Tensor" for name in names)
    module = scripted(f"def forward(self, {arguments}):\n    return {', '.join(names)}\n")
    inputs = tuple(TensorSpec(name, kind, (-1, 3)) for name, kind in zip(names, KINDS, strict=True))
    outputs = tuple(replace(spec, name=f"{spec.name}_out") for spec in inputs)
    return save_script(folder, "kinds", module, signature=Signature(inputs, outputs))


def words(folder: Path) -> VersionSnapshot:
    """Strings, given back as they came; only text, as TorchScript has it."""
    module = scripted("def forward(self, words: List[str]) -> List[str]:\n    return words\n")
    signature = Signature((TensorSpec("words", "BYTES", (-1, 1)),), (TensorSpec("words_out", "BYTES", (-1, 1)),))
    return save_script(folder, "words", module, signature=signature)


class OwnServer:
    """Serves `pair` (versions 1 and 2, 2 by default), `kinds` and `words`; an admin's key may load and unload them."""

    def __init__(self, folder: Path) -> None:
        policy = ModelPolicy(
            batching=BatchingPolicy(max_rows=8),
            cache=CachePolicy(enabled=False),
            scaling=ScalingPolicy(enabled=False),
        )
        versions = {"pair": [pair(folder, 1), pair(folder, 2)], "kinds": [kinds(folder)], "words": [words(folder)]}
        self._everything = {
            name: ModelSnapshot(name, MappingProxyType({v.number: v for v in found}), found[-1].number, 1, policy)
            for name, found in versions.items()
        }
        key = KeySnapshot("1", "key:conformance", digest_hex(ADMIN_KEY), is_admin=True)
        self._snapshot = Snapshot(1, MappingProxyType(self._everything), MappingProxyType({key.digest_hex: key}))
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        config = RuntimeConfig(inference_port=0, feed_interval_s=0.05)
        self._runtime = Runtime(config, self._load, lambda _: None, self._set_loaded)
        self._run(self._runtime.start())
        self._until(lambda: all(self._runtime.pipeline.model_ready(name, None) for name in versions))
        self._until(lambda: self._runtime.pipeline.model_ready("pair", 1))
        self.url = f"http://127.0.0.1:{self._runtime.inference_port}"

    def stop(self) -> None:
        """End the server and its instances."""
        self._run(self._runtime.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE_S)

    def _until(self, reached: Callable[[], bool]) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while not reached():
            assert time.monotonic() < give_up, "the server's models do not become ready"
            time.sleep(0.02)

    def _load(self, known_generation: int | None) -> Snapshot | None:
        return None if known_generation == self._snapshot.generation else self._snapshot

    def _set_loaded(self, principal: Principal, model: str, loaded: bool) -> int:
        assert principal.is_admin
        known = self._everything[model]
        if not loaded:
            known = replace(known, versions=MappingProxyType({}), default_version=None)
        models = {**self._snapshot.models, model: known}
        self._snapshot = replace(self._snapshot, generation=self._snapshot.generation + 1, models=models)
        return self._snapshot.generation
