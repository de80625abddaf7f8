"""/models/{name}/policy/history and …/revert: what the policy was, and the way back to it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin import selectors
from models_admin.api.base import ApiView, ListView, shown, validated
from models_admin.api.fields import StrictSerializer, WholeNumber
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model
from models_admin.api.openapi import ETAG, IF_MATCH, listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.policies import TAGS, PolicySerializer
from models_admin.api.preconditions import expected_revision
from models_admin.models import PolicyRevision
from models_admin.services import policies as services

LARGEST_REVISION = 2**53
"""JSON's largest whole number that every reader takes as it is."""


class PolicyRevisionSerializer(serializers.ModelSerializer[PolicyRevision]):
    """One change of a policy."""

    changes = serializers.DictField(
        child=serializers.ListField(), help_text="Each field that was changed, with [before, after]."
    )

    class Meta:
        model = PolicyRevision
        fields = ("revision", "at", "actor", "changes")
        read_only_fields = fields


class RevertSerializer(StrictSerializer):
    """Which revision to go back to."""

    revision = WholeNumber(min_value=1, max_value=LARGEST_REVISION, help_text="As in the history.")


class PolicyHistoryView(ListView):
    """A policy's past."""

    permission_classes = (ReadOrStaff,)
    serializer_class = PolicyRevisionSerializer
    filter_backends: tuple[Any, ...] = ()
    queryset = PolicyRevision.objects.none()

    def get_queryset(self) -> QuerySet[PolicyRevision]:
        """The model's revisions."""
        return selectors.policy_history(find_model(self.kwargs["name"]))

    @extend_schema(
        operation_id="listPolicyHistory",
        summary="List a policy's changes",
        tags=TAGS,
        responses=listed(PolicyRevisionSerializer, 400, 404),
    )
    def get(self, request: Request, name: str) -> Response:
        """Every change that is kept, newest first, by people and by tuning."""
        del request, name
        return self.page_of(self.get_queryset())


class PolicyRevertView(ApiView):
    """The way back."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="revertPolicy",
        summary="Go back to an earlier policy",
        tags=TAGS,
        request=RevertSerializer,
        parameters=[IF_MATCH, ETAG],
        responses={200: PolicySerializer, **problems(400, 404, 412)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Set every field to what it was at that revision, as a new one. Fields that there were not then stay.

        The revision before the oldest change that is kept can be gone back to, too.
        """
        model = find_model(name)
        expected = expected_revision(request, model.policy.revision)
        values = validated(RevertSerializer(data=request.data))
        policy = services.revert(actor=actor_of(request), model=model, expected_revision=expected, **values)
        return shown(PolicySerializer(policy).data, policy.revision)
