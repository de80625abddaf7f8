"""The machine's clock and its chance: the only place that asks for either, handed to every shell by the runtime."""

from __future__ import annotations

import random
import secrets
import time


class SystemClock:
    """`proxy.core.clock.Clock` on the operating system's monotonic clock."""

    # Monotonic nanoseconds; never jumps with the wall clock (F20). No method around it: each request asks five times.
    now_ns = staticmethod(time.monotonic_ns)


def unix_time_s() -> float:
    """Wall-clock seconds since the epoch: for key expiry and for stamping reports, never for deadlines."""
    return time.time()


def mark() -> str:
    """Six characters that tell this process from another one, or from itself before a restart."""
    return secrets.token_hex(3)


def draw() -> float:
    """A number from [0, 1): which share of the traffic a request falls into, nothing secret."""
    return random.random()  # noqa: S311
