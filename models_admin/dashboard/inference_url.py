"""Where programs send requests, as pages write it into examples."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from proxy import gateway


def inference_url(request: HttpRequest) -> str:
    """The host that this page was asked at, on the inference port."""
    runtime = gateway.current()
    port = (runtime.inference_port if runtime is not None else None) or settings.DLPROXY_INFERENCE_PORT
    host = request.get_host()
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    return f"{'https' if request.is_secure() else 'http'}://{name}:{port}"
