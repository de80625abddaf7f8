"""File descriptors are shared out before they run out."""

from __future__ import annotations

import pytest

from proxy.endpoint.listener import connection_limit


@pytest.mark.parametrize(
    ("wanted", "open_files", "allowed"),
    [(10_000, 1_048_576, 10_000), (10_000, 1_024, 768), (10_000, 256, 128), (10_000, 10, 5), (3, 1_024, 3)],
)
def test_f37_connections_leave_descriptors_for_the_rest(wanted: int, open_files: int, allowed: int) -> None:
    assert connection_limit(wanted, open_files) == allowed
