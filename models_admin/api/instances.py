"""/instances: the instance processes of this node as the data plane last reported them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, ListView
from models_admin.api.identity import actor_of
from models_admin.api.openapi import listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.services import instances as services
from models_admin.services.errors import NotFound
from proxy import gateway
from proxy.core.errors import NotReady, Reason
from proxy.core.instance_reports import ExitReport, InstanceLog
from proxy.core.reports import InstanceReport, SecondReport
from proxy.core.units import NS_PER_S

LOG_LINES = 200


class InstanceSerializer(serializers.Serializer[InstanceReport]):
    """One instance process."""

    instance_id = serializers.CharField()
    number = serializers.SerializerMethodField(help_text="Names it in paths; unique since the server's start.")
    model = serializers.CharField()
    version = serializers.IntegerField()
    pid = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="starting, loading, ready, draining, stopped or failed.")
    device = serializers.CharField()
    uptime_s = serializers.FloatField()
    memory_bytes = serializers.IntegerField()
    executions = serializers.IntegerField()
    service_ewma_ms = serializers.FloatField(allow_null=True, help_text="Recent mean time of one execution.")
    threads = serializers.IntegerField(help_text="Threads that the model's library computes with; 0: not known.")
    message = serializers.CharField()

    def get_number(self, report: InstanceReport) -> int:
        """The number behind the `#`."""
        return int(report.instance_id.rpartition("#")[2])


class ExitSerializer(serializers.Serializer[ExitReport]):
    """How an instance ended."""

    instance_id = serializers.CharField()
    at = serializers.SerializerMethodField()
    words = serializers.CharField(help_text="Why.")
    is_planned = serializers.BooleanField(help_text="It was told to end.")
    uptime_s = serializers.FloatField()
    executions = serializers.IntegerField()

    def get_at(self, report: ExitReport) -> datetime:
        """A point in time, UTC."""
        return datetime.fromtimestamp(report.at_unix_s, UTC)


class LogSerializer(serializers.Serializer[InstanceLog]):
    """What an instance printed lately."""

    instance_id = serializers.CharField()
    is_alive = serializers.BooleanField()
    text = serializers.CharField(help_text="The last lines; what looks like a key or password is blacked out.")


class OrderedSerializer(serializers.Serializer[services.Ordered]):
    """What comes of an order."""

    instance_id = serializers.CharField()
    outcome = serializers.CharField(help_text="beside, replaced, not_replaced or ending.")
    detail = serializers.CharField(source="words")


class InstanceListView(ListView):
    """The instances."""

    permission_classes = (ReadOrStaff,)
    serializer_class = InstanceSerializer
    filter_backends: tuple[Any, ...] = ()
    query_parameters = frozenset({"model", "state"})

    @extend_schema(
        operation_id="listInstances",
        summary="List instances",
        tags=["instances"],
        parameters=[
            OpenApiParameter("model", OpenApiTypes.STR, description="Only this model's."),
            OpenApiParameter("state", OpenApiTypes.STR, description="Only those in this state."),
        ],
        responses=listed(InstanceSerializer, 400, 503),
    )
    def get(self, request: Request) -> Response:
        """Instance processes of this node, at most a second old. 503 where no data plane runs."""
        model, state = request.query_params.get("model"), request.query_params.get("state")
        found = [
            instance
            for instance in report_now().instances
            if model in (None, instance.model) and state in (None, instance.state)
        ]
        return self.page_of(sorted(found, key=lambda i: (i.model, i.version, i.instance_id)))


class ExitListView(ListView):
    """How instances ended."""

    permission_classes = (ReadOrStaff,)
    serializer_class = ExitSerializer
    filter_backends: tuple[Any, ...] = ()

    @extend_schema(
        operation_id="listInstanceExits",
        summary="List how instances ended",
        tags=["instances"],
        responses=listed(ExitSerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """The last hundred ends on this node since its start, the newest first."""
        del request
        return self.page_of(gateway.instance_exits())


class InstanceLogView(ApiView):
    """An instance's output."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getInstanceLog",
        summary="Read what an instance printed",
        tags=["instances"],
        responses={(200, "application/json"): LogSerializer, **problems(404, 503)},
    )
    def get(self, request: Request, number: int) -> Response:
        """The last 200 lines of a living instance, or the last words of one that ended lately."""
        del request
        log = gateway.instance_log(number, LOG_LINES)
        if log is None:
            raise NotFound(f"There is no instance {number}; it may have ended long ago.")
        return Response(LogSerializer(log).data)


class RestartView(ApiView):
    """Replacing one instance."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="restartInstance",
        summary="Restart an instance",
        tags=["instances"],
        request=None,
        responses={(202, "application/json"): OrderedSerializer, **problems(404, 503)},
    )
    def post(self, request: Request, number: int) -> Response:
        """Start another beside it; once that one is ready, it finishes what it accepted and ends. Nothing is lost."""
        ordered = services.restart(actor=actor_of(request), number=number)
        return Response(OrderedSerializer(ordered).data, status=202)


class DrainView(ApiView):
    """Ending one instance."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="drainInstance",
        summary="Drain an instance",
        tags=["instances"],
        request=None,
        responses={(202, "application/json"): OrderedSerializer, **problems(404, 503)},
    )
    def post(self, request: Request, number: int) -> Response:
        """It takes no new work, finishes and ends; another follows if as many are wanted. `outcome` says which."""
        ordered = services.drain(actor=actor_of(request), number=number)
        return Response(OrderedSerializer(ordered).data, status=202)


def report_now() -> SecondReport:
    """The data plane's last report, or NotReady."""
    report = gateway.latest_report()
    if report is None:
        raise NotReady(Reason.NOT_READY, "No data plane has reported in this process yet.", retry_after_ns=NS_PER_S)
    return report
