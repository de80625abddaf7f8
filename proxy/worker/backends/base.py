"""What every backend offers, and the two ways in which it says no."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from proxy.core.tensors import Signature
from proxy.core.words import Words, of_error
from proxy.frames.config import InstanceConfig

Array = npt.NDArray[Any]


class UnusableArtifact(Exception):
    """The artifact cannot be served as it is; the words tell an ML engineer why. Do not retry."""


class BadOutput(Exception):
    """The model returned something that its signature does not allow."""


class Backend(ABC):
    """One loaded artifact. `signature` is what the artifact says of itself, None where it says nothing."""

    signature: Signature | None = None
    device: str = "cpu"

    @classmethod
    @abstractmethod
    def set_up(cls, config: InstanceConfig) -> None:
        """Import and configure libraries; runs before the sandbox is locked and must not touch the artifact."""

    @classmethod
    @abstractmethod
    def open(cls, config: InstanceConfig) -> Backend:
        """Load the artifact. Raises UnusableArtifact."""

    @abstractmethod
    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """Execute once; inputs and outputs stand in the signature's order. Whatever it raises is the model's error."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if `error` says that there was not enough memory, of the host or of a GPU; libraries differ in their words.

    torch has an own type for GPUs only; of the host's memory it, and onnxruntime, raise RuntimeErrors.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return any(words in text for words in _OUT_OF_MEMORY)


_OUT_OF_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "cuda out of memory",
    "cuda error: out of memory",  # outside of torch's allocator: a context, a library's workspace
    "status_alloc_failed",  # cuBLAS, cuDNN
    "bad_alloc",
    "bad allocation",
    "failed to allocate memory",
)


def shortened(error: BaseException, limit: int = 2_000) -> str:
    """Return the part of a library's message that helps; of a TorchScript trace the last line. Our own words stay."""
    own = of_error(error)
    if isinstance(own, Words) and len(own) <= limit:
        return own
    text = str(error).strip() or type(error).__name__
    if "Traceback of TorchScript" in text:
        text = text.splitlines()[-1].strip().removeprefix("builtins.")
    return text if len(text) <= limit else "..." + text[-limit:]
