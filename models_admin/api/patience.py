"""How long a client would like to wait for a change to be in force: `Prefer: wait=<seconds>`.

Rules: a preference is no order: what is not understood is ignored, and more than LONGEST_WAIT_S counts as that.
Source: RFC 7240, sections 2 and 4.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

if TYPE_CHECKING:
    from rest_framework.request import Request

LONGEST_WAIT_S = 60
"""Shorter than the time after which balancers give a silent answer up. Larger: slower loads are waited for."""
MAX_HEADER_CHARACTERS = 200
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[;,]|$)', re.IGNORECASE)

PREFER_WAIT = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description=f"`wait=30`: answer when the change is in force, or 202 after that many seconds ({LONGEST_WAIT_S} at "
    "most).",
)


def preferred_wait_s(request: Request) -> int | None:
    """How long the client would wait; None where it does not say."""
    header = request.META.get("HTTP_PREFER", "")
    found = _WAIT.search(header) if len(header) <= MAX_HEADER_CHARACTERS else None
    return min(int(found[1]), LONGEST_WAIT_S) if found else None
