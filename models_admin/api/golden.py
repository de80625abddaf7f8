"""/models/{name}/versions/{n}/golden: inputs with the outputs that each instance must reproduce before it serves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, deleted, shown, validated
from models_admin.api.fields import FiniteNumber, StrictSerializer
from models_admin.api.identity import actor_of
from models_admin.api.infer import InferenceTensorSerializer
from models_admin.api.lookups import find_version
from models_admin.api.openapi import ETAG, IF_MATCH, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.models import GoldenSample
from models_admin.services import golden as services

TAGS = ["versions"]
MAX_TENSORS = 64


@extend_schema_field(InferenceTensorSerializer(many=True))
class TensorsField(serializers.ListField):
    """V2 tensors; the service checks each against the signature."""

    child = serializers.JSONField()

    def __init__(self, **words: Any) -> None:
        super().__init__(allow_empty=False, max_length=MAX_TENSORS, **words)


class GoldenSampleSerializer(serializers.ModelSerializer[GoldenSample]):
    """A golden sample."""

    inputs = InferenceTensorSerializer(many=True)
    outputs = InferenceTensorSerializer(many=True)

    class Meta:
        model = GoldenSample
        fields = ("id", "inputs", "outputs", "rtol", "atol", "source", "created_by", "created_at")
        read_only_fields = fields


class GoldenSamplesSerializer(serializers.Serializer[Any]):
    """Every golden sample of a version; its ETag is the version's."""

    samples = GoldenSampleSerializer(many=True)


class _ToleranceSerializer(StrictSerializer):
    rtol = FiniteNumber(
        required=False, min_value=0, max_value=services.MAX_TOLERANCE, help_text="Part of |expected|. Default 0.001."
    )
    atol = FiniteNumber(
        required=False, min_value=0, max_value=services.MAX_TOLERANCE, help_text="Added to it. Default 0.00001."
    )


class RecordSerializer(_ToleranceSerializer):
    """A request whose answer is to be kept as golden."""

    inputs = TensorsField(help_text="V2 tensors, as in an inference request.")


class NewGoldenSampleSerializer(RecordSerializer):
    """Inputs and the outputs that are right for them."""

    outputs = TensorsField(help_text="V2 tensors; not every output is needed.")


class GoldenListView(ApiView):
    """A version's golden samples."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="listGoldenSamples",
        summary="List a version's golden samples",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: GoldenSamplesSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """Samples in the order in which they are checked."""
        del request
        version = find_version(name, number)
        samples = {"samples": version.golden_samples.order_by("pk")}
        return shown(GoldenSamplesSerializer(samples).data, version.revision)

    @extend_schema(
        operation_id="addGoldenSample",
        summary="Add a golden sample",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=NewGoldenSampleSerializer,
        responses={201: GoldenSampleSerializer, **problems(400, 404, 409, 412, 413, 507)},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Keep inputs and right outputs. They are checked by every instance from the version's next load on."""
        version = find_version(name, number)
        expected = expected_revision(request, version.revision)
        values = validated(NewGoldenSampleSerializer(data=request.data))
        sample = services.add_sample(actor=actor_of(request), version=version, expected_revision=expected, **values)
        return _made(sample)


class GoldenRecordView(ApiView):
    """Recording."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="recordGoldenSample",
        summary="Record an answer as golden",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=RecordSerializer,
        responses={201: GoldenSampleSerializer, **problems(400, 404, 409, 412, 413, 503, 507)},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Ask this version now and keep what it answers: later loads must answer the same."""
        version = find_version(name, number)
        expected = expected_revision(request, version.revision)
        values = validated(RecordSerializer(data=request.data))
        sample = services.record_sample(actor=actor_of(request), version=version, expected_revision=expected, **values)
        return _made(sample)


class GoldenView(ApiView):
    """One golden sample."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="removeGoldenSample",
        summary="Remove a golden sample",
        tags=TAGS,
        parameters=[IF_MATCH],
        responses={204: None, **problems(404, 412)},
    )
    def delete(self, request: Request, name: str, number: int, sample_id: int) -> Response:
        """Drop the sample."""
        version = find_version(name, number)
        expected = expected_revision(request, version.revision)
        services.remove_sample(
            actor=actor_of(request), version=version, sample_id=sample_id, expected_revision=expected
        )
        return deleted()


def _made(sample: GoldenSample) -> Response:
    revision = sample.version.revision
    return shown(GoldenSampleSerializer(sample).data, revision, status_code=status.HTTP_201_CREATED)
