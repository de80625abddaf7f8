"""/models/{name}/policy: the operator's parameters, every field bounded."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, shown, validated
from models_admin.api.fields import FiniteNumber, StrictSerializer, TrueOrFalse, WholeNumber
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model
from models_admin.api.openapi import ETAG, IF_MATCH, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.models import Policy
from models_admin.models.policy_choices import MAX_ROWS, MAX_SIZES
from models_admin.services import policies as services

TAGS = ["policies"]


def _help(name: str) -> str:
    return str(Policy._meta.get_field(name).help_text)


class Sizes(serializers.ListField):
    """Batch sizes, ascending; an empty list for none."""

    child = WholeNumber(min_value=1, max_value=MAX_ROWS)


class PolicySerializer(StrictSerializer, serializers.ModelSerializer[Policy]):  # type: ignore[misc]
    """Scheduling, batching, queue, scaling, cache and timeouts of one model."""

    serializer_field_mapping: ClassVar[dict[Any, Any]] = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.PositiveIntegerField: WholeNumber,
        models.FloatField: FiniteNumber,
        models.BooleanField: TrueOrFalse,
    }

    preferred_batch_rows = Sizes(max_length=MAX_SIZES, help_text=_help("preferred_batch_rows"))
    padded_batch_rows = Sizes(max_length=MAX_SIZES, help_text=_help("padded_batch_rows"))

    class Meta:
        model = Policy
        fields = (*services.EDITABLE_FIELDS, "revision", "updated_at")
        read_only_fields = ("revision", "updated_at")


class PolicyView(ApiView):
    """One model's policy."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getPolicy",
        summary="Read a policy",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: PolicySerializer, **problems(404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The policy with its revision."""
        del request
        return _answer(find_model(name).policy)

    @extend_schema(
        operation_id="updatePolicy",
        summary="Change a policy",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=PolicySerializer(partial=True),
        responses={200: PolicySerializer, **problems(400, 404, 412)},
    )
    def patch(self, request: Request, name: str) -> Response:
        """Set the given fields. Takes effect within a second and loses no waiting request."""
        model = find_model(name)
        expected = expected_revision(request, model.policy.revision)
        values: dict[str, Any] = validated(PolicySerializer(model.policy, data=request.data, partial=True))
        policy = services.update_policy(actor=actor_of(request), model=model, expected_revision=expected, **values)
        return _answer(policy)


def _answer(policy: Policy) -> Response:
    return shown(PolicySerializer(policy).data, policy.revision)
