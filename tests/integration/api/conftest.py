"""The cast of the admin API's tests."""

from __future__ import annotations

from api_cast import *  # noqa: F403
