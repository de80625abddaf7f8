"""/requests: answered requests that the data plane of this node remembers, with where their time went."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ListView
from models_admin.api.openapi import listed
from models_admin.api.permissions import ReadOrStaff
from models_admin.selectors import principals
from proxy import gateway
from proxy.core.request_reports import PARTS, RequestQuery, RequestReport, Sort

MOST = 1_000
MAX_TEXT_CHARACTERS = 128


class CompanionSerializer(serializers.Serializer[Any]):
    """Another kept request of the same batch."""

    number = serializers.IntegerField()
    id = serializers.CharField(source="request_id")


class RequestSerializer(serializers.Serializer[RequestReport]):
    """One request. No inputs and no outputs are kept."""

    number = serializers.IntegerField(help_text="Unique since the server's start.")
    id = serializers.CharField(source="request_id", help_text="The client's `X-Request-Id` or `id`, else one of ours.")
    other_ids = serializers.ListField(child=serializers.CharField(), help_text="By which it is found, too.")
    model = serializers.CharField()
    version = serializers.IntegerField()
    instance_id = serializers.CharField(help_text="Empty: it met no instance, or several.")
    caller = serializers.SerializerMethodField(help_text="`key:name` or `user:name`.")
    at = serializers.SerializerMethodField(help_text="When its head was read.")
    status = serializers.IntegerField(help_text="499: its client left.")
    reason = serializers.CharField(help_text="Empty where it was answered.")
    cache = serializers.CharField(help_text="hit, miss, or empty: not asked.")
    rows = serializers.IntegerField(help_text="0: its body was not read.")
    attempts = serializers.IntegerField(help_text="Executions begun with it; more than 1: it was run again.")
    batch_requests = serializers.IntegerField(help_text="Requests of its batch, itself among them.")
    batch_rows = serializers.IntegerField()
    companions = CompanionSerializer(many=True, help_text="Those of its batch that are kept, too.")
    shared_with = serializers.CharField(help_text="Id of the identical request whose execution answered it, too.")
    total_ms = serializers.FloatField()
    parts_ms = serializers.SerializerMethodField(help_text=f"Of {', '.join(PARTS)} those it had; their sum: total_ms.")

    def get_caller(self, report: RequestReport) -> str:
        """The caller's name; its id once it is gone."""
        names: dict[str, str] = self.context.get("names", {})
        return names.get(report.principal_id, report.principal_id)

    def get_at(self, report: RequestReport) -> datetime:
        """A point in time, UTC."""
        return datetime.fromtimestamp(report.at_unix_s, UTC)

    def get_parts_ms(self, report: RequestReport) -> dict[str, float]:
        """Milliseconds by part, in the order in which they followed each other."""
        return dict(report.parts_ms)


class RequestListView(ListView):
    """The requests."""

    permission_classes = (ReadOrStaff,)
    serializer_class = RequestSerializer
    filter_backends: tuple[Any, ...] = ()
    query_parameters = frozenset({"model", "sort", "id", "status"})

    @extend_schema(
        operation_id="listRequests",
        summary="List recent and slowest requests",
        tags=["requests"],
        parameters=[
            OpenApiParameter("model", OpenApiTypes.STR, description="Only this model's."),
            OpenApiParameter("sort", OpenApiTypes.STR, enum=["recent", "slowest"], description="`recent` by default."),
            OpenApiParameter("id", OpenApiTypes.STR, description="Only those of which an id holds this text."),
            OpenApiParameter("status", OpenApiTypes.STR, description="A status such as 503, or `error`: no 200."),
        ],
        responses=listed(RequestSerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """Sampled requests and errors, the newest first, or the slowest of the last minutes, the slowest first."""
        page = self.paginate_queryset(gateway.requests(query_of(request))) or []
        serializer = self.get_serializer(page, many=True)
        serializer.context["names"] = principals.labels({report.principal_id for report in page})
        return self.get_paginated_response(serializer.data)


def query_of(request: Request) -> RequestQuery:
    """What the parameters ask for, or ValidationError."""
    asked = request.query_params
    sort, status, text = asked.get("sort", Sort.RECENT), asked.get("status", ""), asked.get("id", "")
    if sort not in list(Sort):
        raise ValidationError({"sort": ["Give recent or slowest."]})
    is_number = status.isascii() and status.isdecimal() and len(status) == 3
    if status not in ("", "error") and not is_number:
        raise ValidationError({"status": ["Give a status of three digits, or error."]})
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValidationError({"id": [f"Give at most {MAX_TEXT_CHARACTERS} characters."]})
    return RequestQuery(
        model=asked.get("model"),
        sort=Sort(sort),
        text=text,
        status=int(status) if is_number else 0,
        only_errors=status == "error",
        limit=MOST,
    )
