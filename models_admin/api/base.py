"""What every view of the admin API shares: who calls, bounded bodies, headers, one shape for each kind of answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from models_admin.api.authentication import KeyAuthentication, SessionWithToken
from models_admin.api.pagination import Pages
from models_admin.api.parsers import BoundedJSONParser
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import etag
from models_admin.services.request_id import HEADER, id_of

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.serializers import BaseSerializer

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class LengthRequired(APIException):
    """411: the body came in chunks without a length."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_code = "length_required"
    default_detail = "Send Content-Length; this API takes no chunked bodies."


class JsonNegotiation(DefaultContentNegotiation):
    """By the Accept header only: a `?format=` is an unknown parameter like any other."""

    class settings:  # noqa: N801  DRF's attribute
        """DRF reads the name of its override here."""

        URL_FORMAT_OVERRIDE = None


class ApiView(APIView):
    """Root of the views. A view declares its policy (`permission_classes`) and the parameters it reads."""

    authentication_classes = (KeyAuthentication, SessionWithToken)
    permission_classes = (ReadOrStaff,)
    parser_classes = (BoundedJSONParser,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = JsonNegotiation
    http_method_names = ("get", "post", "put", "patch", "delete", "head")
    query_parameters: frozenset[str] = frozenset()
    request_id = ""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Rights first, then what the request must not hold."""
        self.request_id = id_of(request._request)
        super().initial(request, *args, **kwargs)
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            raise LengthRequired
        if request.method in CHANGING and request.META.get("HTTP_CONTENT_ENCODING", "identity") != "identity":
            raise UnknownCoding
        unknown = [name for name in request.query_params if name not in self.known_parameters()]
        if unknown:
            raise ValidationError({name: [self._parameter_hint()] for name in unknown})

    def known_parameters(self) -> frozenset[str]:
        """Names that may stand behind the `?`."""
        return self.query_parameters

    def _parameter_hint(self) -> str:
        known = ", ".join(sorted(self.known_parameters()))
        return f"Unknown parameter; this route reads {known}." if known else "This route reads no parameters."

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Answers are private to the caller and of this moment."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers[HEADER] = self.request_id
        response._has_been_logged = True  # by problems.exception_handler; Django would call a full queue an error
        return response


class UnknownCoding(APIException):
    """415: a compressed body."""

    status_code = status.HTTP_415_UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_coding"
    default_detail = "Send the body uncompressed (no Content-Encoding)."


class ListView(ApiView, GenericAPIView):
    """A filtered, ordered, paginated list: `get_queryset`, `serializer_class` and `filterset_class` say of what."""

    pagination_class = Pages

    def known_parameters(self) -> frozenset[str]:
        """Page and size, the filter's names, and those that the view adds."""
        filterset = getattr(self, "filterset_class", None)
        names = set(filterset.base_filters) if filterset and self.request.method in ("GET", "HEAD") else set()
        return frozenset({*self.query_parameters, *names, "page", "page_size"})

    def page_of(self, rows: Any) -> Response:
        """The asked page of `rows` (a queryset or a sequence), serialised."""
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


def validated(serializer: BaseSerializer) -> dict[str, Any]:
    """The serializer's accepted values, or ValidationError."""
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


def shown(data: Any, revision: int, *, status_code: int = status.HTTP_200_OK, location: str | None = None) -> Response:
    """One thing with its ETag, and where it is if it was made just now."""
    headers = {"ETag": etag(revision)}
    if location:
        headers["Location"] = location
    return Response(data, status=status_code, headers=headers)


def deleted() -> Response:
    """204."""
    return Response(status=status.HTTP_204_NO_CONTENT)
