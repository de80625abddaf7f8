"""/instances: the instance processes of this node as the data plane last reported them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ListView
from models_admin.api.openapi import listed
from models_admin.api.permissions import ReadOrStaff
from proxy import gateway
from proxy.core.errors import NotReady, Reason
from proxy.core.reports import InstanceReport, SecondReport
from proxy.core.units import NS_PER_S


class InstanceSerializer(serializers.Serializer[InstanceReport]):
    """One instance process."""

    instance_id = serializers.CharField()
    model = serializers.CharField()
    version = serializers.IntegerField()
    pid = serializers.IntegerField(allow_null=True)
    state = serializers.CharField(help_text="starting, loading, ready, draining, stopped or failed.")
    device = serializers.CharField()
    uptime_s = serializers.FloatField()
    memory_bytes = serializers.IntegerField()
    executions = serializers.IntegerField()
    service_ewma_ms = serializers.FloatField(allow_null=True, help_text="Recent mean time of one execution.")
    message = serializers.CharField()


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


def report_now() -> SecondReport:
    """The data plane's last report, or NotReady."""
    report = gateway.latest_report()
    if report is None:
        raise NotReady(Reason.NOT_READY, "No data plane has reported in this process yet.", retry_after_ns=NS_PER_S)
    return report
