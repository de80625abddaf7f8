"""/models/{name}[/versions/{n}]/infer: the Open Inference Protocol's body, for browsers and for OpenAPI clients.

The same rights, scheduler and cache as the inference port; slower, since it goes through Django. Status, headers and
body of the data plane's answer are passed on as they are, so its refusals have the protocol's own shape.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from models_admin.api.base import ApiView
from models_admin.api.identity import principal_of
from models_admin.api.openapi import problems
from models_admin.api.parsers import InferenceBinaryParser, InferenceBodyParser
from models_admin.api.permissions import InferencePolicy
from proxy import gateway
from proxy.core.tensors import DATATYPES

TAGS = ["inference"]
# What the data plane reads of the request's headers; content codings were refused before.
BODY_HEADERS = (
    "content-type",
    "inference-header-content-length",
    "x-dlproxy-timing",
    "x-dlproxy-sticky",
    "x-request-id",
)


@extend_schema_field({"type": "array", "items": {}})
class TensorData(serializers.ListField):
    """Elements, flat or nested."""


class InferenceTensorSerializer(serializers.Serializer[Any]):
    """One tensor."""

    name = serializers.CharField()
    shape = serializers.ListField(child=serializers.IntegerField(min_value=0))
    datatype = serializers.ChoiceField(choices=sorted(DATATYPES))
    data = TensorData(help_text="Row-major, flat or nested.")


class OutputParametersSerializer(serializers.Serializer[Any]):
    """How an output is answered."""

    binary_data = serializers.BooleanField(required=False, help_text="Raw bytes behind the JSON.")
    classification = serializers.IntegerField(
        required=False, min_value=1, max_value=1_000, help_text="That many of the highest values, as `value:index`."
    )


class RequestedOutputSerializer(serializers.Serializer[Any]):
    """An output that is asked for."""

    name = serializers.CharField()
    parameters = OutputParametersSerializer(required=False)


class InferenceParametersSerializer(serializers.Serializer[Any]):
    """What a client may ask of the scheduler."""

    timeout = serializers.IntegerField(required=False, help_text="Microseconds until the answer is worthless.")
    priority = serializers.IntegerField(required=False, help_text="1 is highest; 0 is the default level.")


class InferenceBodySerializer(serializers.Serializer[Any]):
    """An inference request (Open Inference Protocol V2)."""

    id = serializers.CharField(required=False)
    inputs = InferenceTensorSerializer(many=True)
    outputs = RequestedOutputSerializer(many=True, required=False, help_text="Default: all.")
    parameters = InferenceParametersSerializer(required=False)


class InferenceAnswerSerializer(serializers.Serializer[Any]):
    """An inference answer."""

    model_name = serializers.CharField()
    model_version = serializers.CharField()
    id = serializers.CharField(required=False)
    outputs = InferenceTensorSerializer(many=True)


class InferenceErrorSerializer(serializers.Serializer[Any]):
    """The protocol's error."""

    error = serializers.CharField()


_REFUSALS = {
    400: "The body breaks the protocol or the model's signature.",
    404: "No such model or version, or the key does not open it.",
    429: "The key's quota is spent; see Retry-After.",
    500: "The model raised, or its instance was lost twice.",
    503: "No ready instance or too much load; see Retry-After.",
    504: "The deadline passed.",
}
# Raw tensors: JSON of `Inference-Header-Content-Length` bytes, then the tensors (docs/reference/inference.md).
_REQUEST = {"application/json": InferenceBodySerializer, "application/octet-stream": OpenApiTypes.BINARY}
_RESPONSES = {
    200: InferenceAnswerSerializer,
    **{status: OpenApiResponse(InferenceErrorSerializer, description=words) for status, words in _REFUSALS.items()},
    **problems(411, 413, 415),
}
_EXAMPLE = OpenApiExample(
    "Two rows",
    value={"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}]},
    request_only=True,
)


def _body_headers(request: Request) -> list[tuple[bytes, bytes]]:
    """The headers that say how the body is to be read, as they came."""
    return [(name.encode(), request.headers[name].encode()) for name in BODY_HEADERS if name in request.headers]


class _InferView(ApiView):
    permission_classes = (InferencePolicy,)
    parser_classes = (InferenceBodyParser, InferenceBinaryParser)

    def _infer(self, request: Request, name: str, version: str | None) -> HttpResponse:
        body = request.data if isinstance(request.data, bytes) else b""
        answer = gateway.infer_from_thread(principal_of(request), name, version, body, _body_headers(request))
        kind = next(
            (value.decode() for header, value in answer.headers if header == b"content-type"), "application/json"
        )
        response = HttpResponse(answer.body, status=answer.status, content_type=kind)
        for header, value in answer.headers:
            response.headers[header.decode("latin-1")] = value.decode("latin-1")
        self.request_id = response.headers.get("X-Request-Id", self.request_id)  # an error's, as the log has it
        return response


class InferView(_InferView):
    """Ask a model."""

    permission_classes = (InferencePolicy,)

    @extend_schema(
        operation_id="infer",
        summary="Ask a model's default version",
        tags=TAGS,
        request=_REQUEST,
        responses=_RESPONSES,
        examples=[_EXAMPLE],
    )
    def post(self, request: Request, name: str) -> HttpResponse:
        """Run the rows of the body through the default version."""
        return self._infer(request, name, None)


class InferVersionView(_InferView):
    """Ask one version."""

    permission_classes = (InferencePolicy,)

    @extend_schema(
        operation_id="inferVersion",
        summary="Ask one version of a model",
        tags=TAGS,
        request=_REQUEST,
        responses=_RESPONSES,
        examples=[_EXAMPLE],
    )
    def post(self, request: Request, name: str, number: int) -> HttpResponse:
        """Run the rows of the body through this version."""
        return self._infer(request, name, str(number))


class InferLabelView(_InferView):
    """Ask the version that a label points at."""

    permission_classes = (InferencePolicy,)

    @extend_schema(
        operation_id="inferLabel",
        summary="Ask a version by its label",
        tags=TAGS,
        request=_REQUEST,
        responses=_RESPONSES,
        examples=[_EXAMPLE],
    )
    def post(self, request: Request, name: str, label: str) -> HttpResponse:
        """Run the rows of the body through the version that has this label (`stable` and `canary` always mean one)."""
        return self._infer(request, name, label)
