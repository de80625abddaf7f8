"""A channel layer on Redis that has nothing to say for a while is no fault."""

from __future__ import annotations

import os
from typing import Any

import pytest
from channels.layers import get_channel_layer

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(not os.environ.get("TEST_REDIS_URL"), reason="needs TEST_REDIS_URL"),
]


async def test_a_read_of_the_layer_ends_before_redis_client_gives_it_up() -> None:
    layer: Any = get_channel_layer()
    pool = layer.create_pool(0)
    try:
        assert pool.connection_kwargs["socket_timeout"] >= 2 * layer.brpop_timeout
    finally:
        await pool.aclose()
