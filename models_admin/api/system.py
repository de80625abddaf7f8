"""/system: whether everything that this set-up needs is there and well."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.selectors import setup_facts, setup_state


class CheckSerializer(serializers.Serializer[setup_state.Check]):
    """One thing that was looked at."""

    key = serializers.CharField(help_text="Stable word, such as `database` or `sandbox.files`.")
    name = serializers.CharField()
    condition = serializers.ChoiceField(list(setup_state.Condition))
    value = serializers.CharField(help_text="What is there.")
    reason = serializers.CharField(help_text="Why it is not well; empty where it is.")
    action = serializers.CharField(help_text="What to do about it.")


class SystemSerializer(serializers.Serializer[Any]):
    """All of them, and the worst."""

    condition = serializers.ChoiceField(list(setup_state.Condition))
    checks = CheckSerializer(many=True)


class SystemView(ApiView):
    """The set-up's state."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getSystem",
        summary="Read the set-up's state",
        tags=["nodes"],
        responses={(200, "application/json"): SystemSerializer, **problems()},
    )
    def get(self, request: Request) -> Response:
        """Database, broker, Celery, cache, disk, sandbox and versions, looked at now."""
        del request
        found = setup_state.checks(setup_facts.look())
        return Response(SystemSerializer({"condition": setup_state.worst(found), "checks": found}).data)
