"""The digits model as work for a benchmark: bodies of real digits, and what the model itself answers to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from bench.harness import Site
from bench.load import Case

CASES = 256

_ARTIFACT = """
from models_admin.publishing.snapshot import load_snapshot
for version in load_snapshot(None).models["digits"].versions.values():
    print("ARTIFACT", version.format, version.number, version.artifact_path)
"""


@dataclass(frozen=True, slots=True)
class Work:
    """The TorchScript file that our server serves, its version's number, and requests with their right answers."""

    model_file: Path
    version: int
    cases: list[Case]


def digits_work(site: Site) -> Work:
    """Read the served artifact from the server and compute right answers by calling the model directly."""
    file, number = _torchscript(site)
    first_run = site.first_run["demo_request"]
    template = json.loads(first_run) if isinstance(first_run, str) else first_run
    tensor = template["inputs"][0]
    demo = np.asarray(tensor["data"], dtype=np.float32).reshape(-1)
    images = load_digits().images.reshape(-1, 64).astype(np.float32)
    # The demo request is one of these images in the scale that the model wants (0 to 1, or the set's 0 to 16).
    scale = np.float32(1 / 16 if demo.max() <= 1 else 1)
    model = torch.jit.load(str(file)).eval()
    cases = []
    for image in images[:CASES] * scale:
        with torch.inference_mode():
            scores = model(torch.from_numpy(image.copy()).reshape(tensor["shape"]))
        values = [round(float(value), 6) for value in image]
        body = {**template, "inputs": [{**tensor, "data": values}]}
        cases.append(Case(json.dumps(body, separators=(",", ":")).encode(), tuple(scores.flatten().tolist())))
    return Work(file, number, cases)


def _torchscript(site: Site) -> tuple[Path, int]:
    for line in site.manage("shell", "--command", _ARTIFACT).splitlines():
        if line.startswith("ARTIFACT torchscript "):
            _, _, number, path = line.split(" ", 3)
            return Path(path), int(number)
    raise RuntimeError("the server has no TorchScript version of digits")
