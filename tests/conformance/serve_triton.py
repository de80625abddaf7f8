"""Triton with the kit's models, to run the kit against it: `pair` (two versions), `kinds` and `bytes`.

    bench/peers/setup triton
    python tests/conformance/serve_triton.py 8500 &
    python -m pytest tests/conformance --url http://127.0.0.1:8500 --model pair

The server and its Python backend are those of the benchmarks' peer. Ends with Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from bench.peers.catalogue import triton  # noqa: E402  (the repository's root must be found first)

KINDS = ("BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "BF16", "FP32", "FP64")
PAIR = ([("left", "FP32", 4), ("right", "INT64", 3)], [("scaled", "FP32", 4), ("total", "INT64", 1)])
ALL_KINDS = ([(kind.lower(), kind, 3) for kind in KINDS], [(f"{kind.lower()}_out", kind, 3) for kind in KINDS])
BYTES = ([("words", "STRING", 1)], [("words_out", "STRING", 1)])


def tensors(side: str, declared: list[tuple[str, str, int]]) -> str:
    """One side of a signature, as Triton's configuration has it."""
    return "".join(f'{side} [{{name: "{n}" data_type: TYPE_{kind} dims: [{size}]}}]\n' for n, kind, size in declared)


def write(
    folder: Path, name: str, sides: tuple[list[tuple[str, str, int]], list[tuple[str, str, int]]], *versions: int
) -> None:
    """A model of the repository."""
    for version in versions:
        (folder / name / str(version)).mkdir(parents=True)
        shutil.copy(HERE / "triton_kit_model.py", folder / name / str(version) / "model.py")
    config = f'name: "{name}"\nbackend: "python"\nmax_batch_size: 8\ndynamic_batching {{}}\n'
    config += tensors("input", sides[0]) + tensors("output", sides[1])
    config += "version_policy { all {} }\ninstance_group [{kind: KIND_CPU count: 1}]\n"
    (folder / name / "config.pbtxt").write_text(config)


def main(port: int) -> int:
    """Serve until interrupted."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        launch = triton("tiny", folder, port)
        models = folder / "models"
        shutil.rmtree(models)
        write(models, "pair", PAIR, 1, 2)
        write(models, "kinds", ALL_KINDS, 1)
        write(models, "bytes", BYTES, 1)
        env = {**os.environ, **launch.env}
        return subprocess.run(launch.argv, cwd=launch.cwd, env=env, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
