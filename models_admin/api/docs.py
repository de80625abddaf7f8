"""The API's description: the OpenAPI document, Swagger UI from our own server, and the answer to an unknown path."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote

from csp.constants import NONE, SELF, UNSAFE_INLINE
from csp.decorators import csp_replace
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from models_admin.api.authentication import SessionWithToken
from models_admin.api.base import ApiView
from models_admin.api.permissions import AnyCaller, Public
from models_admin.services.errors import NotFound

# Swagger UI writes style attributes and shows inline SVG icons; scripts stay those of our own files.
SWAGGER_CSP = {
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "script-src": [SELF],
    "worker-src": [NONE],
}


@extend_schema(exclude=True)
class SchemaView(ApiView):
    """The OpenAPI document as JSON."""

    permission_classes = (AnyCaller,)

    def get(self, request: Request) -> HttpResponse:
        """The same for every caller, so it is made once a process (it takes a second)."""
        del request
        return HttpResponse(_document(), content_type="application/vnd.oai.openapi+json")


@cache
def _document() -> bytes:
    document = SchemaGenerator().get_schema(request=None, public=True)
    return bytes(OpenApiJsonRenderer().render(document, renderer_context={}))


@method_decorator(csp_replace(SWAGGER_CSP), name="dispatch")
class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI for people who are logged in; others are sent to the login page."""

    http_method_names = ("get", "head")
    authentication_classes = (SessionWithToken,)
    permission_classes = (AnyCaller,)
    url_name = "api:schema"

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> None:
        """Go to the login page instead of answering with a problem document that a browser shows as text."""
        del message, code
        raise _LoginNeeded(request.get_full_path())

    def handle_exception(self, exc: Exception) -> Any:
        """A redirect for strangers."""
        if isinstance(exc, _LoginNeeded):
            return redirect(f"{settings.LOGIN_URL}?next={quote(exc.path)}")
        response = super().handle_exception(exc)
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), "application/json"
        return response


class _LoginNeeded(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@extend_schema(exclude=True)
class UnknownRouteView(ApiView):
    """Every path below /api/v1/ that is no route."""

    authentication_classes: tuple[Any, ...] = ()
    permission_classes = (Public,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """404 in the API's own shape, whatever the method."""
        super(ApiView, self).initial(request, *args, **kwargs)
        raise NotFound(_("There is no such route; the routes are described at /api/v1/docs/."), code="unknown_route")
