"""Bounds and patience of the inference port."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Bytes, counts and seconds that one client may take.

    Precedents: head 16 KiB (uvicorn's h11: 64 KiB, nginx: 8 KiB a line, 32 KiB in all), keep-alive 75 s (nginx),
    10 s for a head and 10 s + 4 KiB/s for a body (Apache mod_reqtimeout: 20 s, then 500 B/s).
    `max_discard_bytes`: a refused request's body up to this length is read and dropped so that the connection can be
    kept; a longer one costs the connection. `max_pipelined_bytes`: what may wait behind the request being answered.
    `drain_grace_s`: how long a stopping server listens to idle connections, so that a client which is just about to
    send is answered and not reset.
    """

    max_connections: int = 10_000
    max_target_bytes: int = 4_096
    max_head_bytes: int = 16_384
    max_headers: int = 64
    max_chunks: int = 65_536
    max_pipelined_bytes: int = 65_536
    max_discard_bytes: int = 262_144
    head_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_timeout_s: float = 10.0
    write_timeout_s: float = 20.0
    linger_timeout_s: float = 2.0
    drain_grace_s: float = 1.0
    min_rate_bytes_per_s: int = 4_096
    sweep_interval_s: float = 0.5


DEFAULT_LISTENER_LIMITS = ListenerLimits()
