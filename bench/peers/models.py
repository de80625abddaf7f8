"""The models that every server serves in bench/compare, and the requests that every client sends.

Imported by our benchmark and, by its bare name, by each peer's server in that peer's own environment: nothing but
torch and the standard library.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import torch
from torch import nn

# Widths of the fully connected layers; `wide` has none: it adds one to each of its 1 MiB of FP32 values.
WIDTHS = {
    "tiny": (64, 256, 10),
    "medium": (256, 2048, 2048, 2048, 2048, 2048, 64),
}
WIDE = 262_144


class AddOne(nn.Module):
    """What costs little beside moving the tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` plus one."""
        return x + 1.0


def dims(name: str) -> tuple[int, int]:
    """Width of the input and of the output; `any` is as `wide`, for rows of any width."""
    if name == "any":
        return 64, 64
    return (WIDE, WIDE) if name == "wide" else (WIDTHS[name][0], WIDTHS[name][-1])


def build(name: str) -> nn.Module:
    """The model, its weights the same in every process."""
    if name in {"wide", "any"}:
        return AddOne().eval()
    torch.manual_seed(7)
    widths, layers = WIDTHS[name], []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval().requires_grad_(requires_grad=False)


def load() -> tuple[str, nn.Module]:
    """What a peer calls: the model named by $MODEL, or in $MODEL_FILE, with $TORCH_THREADS threads, warm."""
    torch.set_num_threads(int(os.environ.get("TORCH_THREADS", "1")))
    if "MODEL_FILE" in os.environ:
        return Path(os.environ["MODEL_FILE"]).stem, torch.jit.load(os.environ["MODEL_FILE"]).eval()
    name = os.environ.get("MODEL", "tiny")
    model = build(name)
    with torch.inference_mode():
        for rows in (1, 2, 8, 32):
            model(torch.zeros(rows, dims(name)[0]))
    return name, model


def signature(name: str) -> dict[str, list[dict[str, object]]]:
    """What goes in and out, as our server's uploads declare it."""
    width_in, width_out = (-1, -1) if name == "any" else dims(name)
    return {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, width_in]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, width_out]}],
    }


def export(name: str, path: Path) -> None:
    """Write the model as TorchScript with its signature inside, as an ML engineer would for our server."""
    model = build(name)
    traced = torch.jit.freeze(torch.jit.trace(model, torch.zeros(2, dims(name)[0])))
    torch.jit.save(traced, str(path), _extra_files={"dlproxy.json": json.dumps(signature(name))})


def sample(name: str) -> list[float]:
    """One fixed input row, its values rounded so that its JSON is of ordinary length."""
    generator = torch.Generator().manual_seed(11)
    x = torch.randn(1, dims(name)[0], generator=generator)
    return [round(value, 5) for value in x[0].tolist()]


def expected(name: str, rows: list[list[float]]) -> list[list[float]]:
    """The answers of the model called directly."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        answers: list[list[float]] = build(name)(torch.tensor(rows)).tolist()
    return answers
