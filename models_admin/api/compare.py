"""/models/{name}/versions/compare?a=3&b=5: what differs between two versions, as far as it is known without a run."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView
from models_admin.api.lookups import find_version
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.selectors.comparison import Change, Section
from models_admin.selectors.version_comparison import compare_versions

MAX_DIGITS = 9
A = OpenApiParameter("a", OpenApiTypes.INT, required=True, description="Number of the one version.")
B = OpenApiParameter("b", OpenApiTypes.INT, required=True, description="Number of the other.")


class ComparedSerializer(serializers.Serializer[Any]):
    """One fact of both versions."""

    name = serializers.CharField()
    a = serializers.JSONField(allow_null=True, help_text="Null: the version has no such thing, or it is not known.")
    b = serializers.JSONField(allow_null=True)
    change = serializers.ChoiceField(choices=[change.value for change in Change])


class SectionSerializer(serializers.Serializer[Any]):
    """Facts that belong together."""

    name = serializers.CharField(
        help_text="artifact, inputs, outputs, options, validation, golden, notes, measured; then tensors (safetensors, "
        "ONNX), members (of a torch archive), or contents where the files cannot be set side by side."
    )
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Facts by their change.")
    rows = ComparedSerializer(many=True, help_text="Of tensors and members the first that differ.")


class ComparisonSerializer(serializers.Serializer[Any]):
    """Two versions side by side."""

    model = serializers.CharField()
    a = serializers.IntegerField()
    b = serializers.IntegerField()
    sections = SectionSerializer(many=True)


class CompareView(ApiView):
    """Two versions side by side."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({A.name, B.name})

    @extend_schema(
        operation_id="compareVersions",
        summary="Compare two versions",
        tags=["versions"],
        parameters=[A, B],
        responses={200: ComparisonSerializer, **problems(400, 404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """What is the same, changed, added and removed from version `a` to version `b`; neither is run for it."""
        first, second = (find_version(name, _number(request, side)) for side in (A.name, B.name))
        sections = compare_versions(first, second, now=timezone.now())
        shown = [_section(section) for section in sections]
        return Response({"model": name, "a": first.number, "b": second.number, "sections": shown})


def _section(section: Section) -> dict[str, Any]:
    rows = [{"name": row.name, "a": row.before, "b": row.after, "change": row.change.value} for row in section.rows]
    counts = {change.value: count for change, count in section.counts.items()}
    return {"name": section.name, "counts": counts, "rows": rows}


def _number(request: Request, side: str) -> int:
    text = request.query_params.get(side, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise serializers.ValidationError({side: ["Give the number of a version."]})
    return int(text)
