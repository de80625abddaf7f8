"""/audit and /nodes: who did what, and which parts are heard of."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin import selectors
from models_admin.api.base import ListView
from models_admin.api.filters import StrictFilterSet, ordering, since, until
from models_admin.api.openapi import listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.models import AuditEvent
from models_admin.services import audit_export


class AuditEventSerializer(serializers.ModelSerializer[AuditEvent]):
    """Who did what to which thing."""

    details = serializers.DictField()

    class Meta:
        model = AuditEvent
        fields = ("id", "at", "actor", "action", "object_type", "object_id", "details", "remote_addr")
        read_only_fields = fields


class AuditFilter(StrictFilterSet):
    """Narrows the audit log."""

    actor = filters.CharFilter(help_text="Such as `user:ann`.")
    action = filters.CharFilter(help_text="Such as `version.promote`.")
    object_type = filters.CharFilter(help_text="model, version, key …")
    object_id = filters.CharFilter(help_text="Such as `digits/2`.")
    since = since()
    until = until()
    ordering = ordering("at")

    class Meta:
        model = AuditEvent
        fields: tuple[str, ...] = ()


class AuditListView(ListView):
    """The audit log."""

    permission_classes = (ReadOrStaff,)
    serializer_class = AuditEventSerializer
    filterset_class = AuditFilter
    queryset = AuditEvent.objects.none()

    def get_queryset(self) -> QuerySet[AuditEvent]:
        """Every event."""
        return selectors.audit_events()

    @extend_schema(
        operation_id="listAuditEvents",
        summary="List audit events",
        tags=["audit"],
        responses=listed(AuditEventSerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """Events, newest first."""
        del request
        return self.page_of(self.filter_queryset(self.get_queryset()))


class AuditExportView(ListView):
    """The audit log as a file."""

    permission_classes = (ReadOrStaff,)
    serializer_class = AuditEventSerializer
    filterset_class = AuditFilter
    query_parameters = frozenset({"as"})
    queryset = AuditEvent.objects.none()

    def get_queryset(self) -> QuerySet[AuditEvent]:
        """Every event."""
        return selectors.audit_events()

    @extend_schema(
        operation_id="exportAuditEvents",
        summary="Export audit events",
        tags=["audit"],
        parameters=[OpenApiParameter("as", OpenApiTypes.STR, enum=["jsonl", "csv"], description="`jsonl` by default.")],
        responses={(200, "application/jsonl"): OpenApiTypes.STR, **problems(400)},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """What the filters leave, streamed: lines of JSON, or CSV that no spreadsheet takes for formulas."""
        form = request.query_params.get("as", "jsonl")
        if form not in ("jsonl", "csv"):
            raise ValidationError({"as": ["Give jsonl or csv."]})
        events = self.filter_queryset(self.get_queryset())
        lines = audit_export.csv_lines(events) if form == "csv" else audit_export.json_lines(events)
        content_type = "text/csv; charset=utf-8" if form == "csv" else "application/jsonl; charset=utf-8"
        return StreamingHttpResponse(audit_export.streamed(lines), content_type=content_type)


class NodeSerializer(serializers.Serializer[selectors.NodeView]):
    """One part of the system."""

    name = serializers.CharField(help_text="web, celery or beat.")
    at = serializers.DateTimeField(help_text="Last heartbeat.")
    age_s = serializers.FloatField()
    late = serializers.BooleanField(help_text="True after 20 s of silence.")
    info = serializers.DictField(help_text="What the part says of itself.")


class NodeListView(ListView):
    """The parts."""

    permission_classes = (ReadOrStaff,)
    serializer_class = NodeSerializer
    filter_backends: tuple[Any, ...] = ()

    @extend_schema(
        operation_id="listNodes",
        summary="List the system's parts",
        tags=["nodes"],
        responses=listed(NodeSerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """Heartbeats of the web process, the Celery worker and beat."""
        del request
        return self.page_of(selectors.nodes())
