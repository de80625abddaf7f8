"""What parent and instance say to each other, one message a packet.

    parent → instance   LOAD  EXECUTE  REGION  PING  THREADS  STOP
    instance → parent   LOADING  READY  RESULT  ERROR  NEED  PONG

Tensor bytes never travel in a message: they lie in shared memory, and an `Entry` says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """Number of a message on the wire."""

    LOAD = 1
    LOADING = 2
    READY = 3
    EXECUTE = 4
    RESULT = 5
    ERROR = 6
    NEED = 7
    REGION = 8
    PING = 9
    PONG = 10
    STOP = 11
    THREADS = 12


class Area(IntEnum):
    """Which of the two shared areas: requests are written by the parent, responses by the instance."""

    REQUEST = 0
    RESPONSE = 1


class Stage(IntEnum):
    """What an instance does before it is ready, in this order. VERIFYING only where there are golden samples."""

    LOADING = 0
    WARMING = 1
    VERIFYING = 2


class ErrorCode(IntEnum):
    """What went wrong in the instance."""

    LOAD_FAILED = 1
    MODEL_RAISED = 2
    BAD_OUTPUT = 3
    OUT_OF_MEMORY = 4


class Entry(NamedTuple):
    """One tensor in a shared area: `code` is its datatype's number, `offset` and `size_bytes` its place."""

    code: int
    offset: int
    size_bytes: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Configuration of the instance as JSON text; the first message that it reads."""

    config_json: bytes


@dataclass(frozen=True, slots=True)
class Loading:
    """The libraries are imported and the sandbox is on; what `stage` says comes next.

    The artifact is opened, then warmed up, then asked for its golden samples.
    """

    stage: Stage = Stage.LOADING


@dataclass(frozen=True, slots=True)
class Ready:
    """The artifact is loaded and warm. `details_json` holds the device and what of the sandbox is active."""

    load_time_ns: int
    memory_bytes: int
    details_json: bytes


class Execute(NamedTuple):
    """Run the model once on the tensors at `entries` (signature order) of the request area."""

    sequence: int
    rows: int
    entries: tuple[Entry, ...]


class Result(NamedTuple):
    """Outputs of execution `sequence` lie at `entries` (signature order) of the response area.

    `compute_ns`: the model. `input_ns`, `output_ns`: taking the inputs out of their area, putting the outputs there.
    """

    sequence: int
    compute_ns: int
    entries: tuple[Entry, ...]
    input_ns: int = 0
    output_ns: int = 0


@dataclass(frozen=True, slots=True)
class Error:
    """Execution `sequence` (0: the load) gave no outputs."""

    sequence: int
    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True)
class Need:
    """The outputs of execution `sequence` need a response area of `size_bytes`; answered by a Region."""

    sequence: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Region:
    """Replace an area by the memory whose descriptor travels with this message."""

    area: Area
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? `sequence` comes back in the Pong."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Yes."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Threads:
    """Run with `count` threads from now on. Sent between executions only."""

    count: int


@dataclass(frozen=True, slots=True)
class Stop:
    """End after what is being done."""


Message = Load | Loading | Ready | Execute | Result | Error | Need | Region | Ping | Pong | Threads | Stop
