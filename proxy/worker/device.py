"""Which device an instance uses: the first CUDA device where torch finds one, else the CPU."""

from __future__ import annotations

import os

import torch


def choose() -> torch.device:
    """Return the device. `DLPROXY_DEVICE=cpu` forbids the GPU; a GPU that was asked for and is missing is an error."""
    wish = os.environ.get("DLPROXY_DEVICE", "")
    if wish == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if wish.startswith("cuda"):
        raise RuntimeError("A GPU was asked for (DLPROXY_DEVICE), but torch finds none.")
    return torch.device("cpu")
