"""The id of a request to Django: the caller's own where it is safe, else one of ours, made when first asked for."""

from __future__ import annotations

import uuid

from django.http import HttpRequest

from proxy.core import request_ids

HEADER = "X-Request-Id"
_KEPT = "dlproxy.request_id"


def id_of(request: HttpRequest) -> str:
    """The same for as long as the request lives: in its answer's header, on the page that refuses it, in the log."""
    kept = request.META.get(_KEPT)
    if kept is None:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        kept = request.META[_KEPT] = given if request_ids.is_safe(given) else uuid.uuid4().hex
    return str(kept)
