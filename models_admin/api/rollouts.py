"""/models/{name}/rollouts: a candidate version beside the default one, and the way back."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, ListView, shown, validated
from models_admin.api.fields import FiniteNumber, StrictSerializer, WholeNumber
from models_admin.api.filters import StrictFilterSet, ordering
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model, find_version
from models_admin.api.openapi import ETAG, IF_MATCH, listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.models import Rollout
from models_admin.models.rollouts import RolloutModeChoice, RolloutState
from models_admin.selectors.rollouts import rollouts, shadow_numbers
from models_admin.services import rollout_rules
from models_admin.services import rollouts as services
from models_admin.services.errors import NotFound

TAGS = ["rollouts"]


class RolloutStepSerializer(StrictSerializer):
    """One step."""

    weight_percent = FiniteNumber(min_value=0, max_value=100, help_text="Share of the traffic.")
    hold_s = FiniteNumber(min_value=1, max_value=rollout_rules.MAX_HOLD_S, help_text="Seconds before the next step.")


@extend_schema_field(RolloutStepSerializer(many=True))
class StepsField(serializers.JSONField):
    """Steps as they are stored."""


class RolloutSerializer(serializers.ModelSerializer[Rollout]):
    """A rollout."""

    model = serializers.CharField(source="model.name")
    candidate = serializers.IntegerField(source="candidate.number")
    weight_percent = serializers.FloatField(help_text="Share of the present step.")
    steps = StepsField()
    evidence = serializers.DictField(help_text="Numbers of the last look at both versions.")

    class Meta:
        model = Rollout
        fields = (
            "id",
            "model",
            "candidate",
            "mode",
            "state",
            "weight_percent",
            "step_index",
            "steps",
            "step_started_at",
            "max_error_percent",
            "max_p99_ratio",
            "max_differing_percent",
            "tolerance",
            "instances",
            "reason",
            "evidence",
            "started_by",
            "created_at",
            "ended_at",
            "revision",
        )
        read_only_fields = fields


class RolloutDetailSerializer(RolloutSerializer):
    """A rollout with what its shadow found, as the data plane reports it now."""

    shadow = serializers.SerializerMethodField()

    class Meta(RolloutSerializer.Meta):
        fields = (*RolloutSerializer.Meta.fields, "shadow")
        read_only_fields = fields

    def get_shadow(self, rollout: Rollout) -> dict[str, Any]:
        """Counts and differences; empty for a canary and for a rollout that has ended."""
        return dict(shadow_numbers(rollout))


class NewRolloutSerializer(StrictSerializer):
    """What to roll out, and how carefully."""

    candidate = WholeNumber(min_value=1, max_value=999_999_999, help_text="Number of a ready version.")
    mode = serializers.ChoiceField(choices=RolloutModeChoice.choices, default=RolloutModeChoice.CANARY.value)
    steps = RolloutStepSerializer(many=True, required=False, help_text="Default: 5, 25, 50, 100 % for a minute each.")
    max_error_percent = FiniteNumber(required=False, min_value=0, max_value=100)
    max_p99_ratio = FiniteNumber(required=False, min_value=1, max_value=100)
    max_differing_percent = FiniteNumber(required=False, min_value=0, max_value=100)
    tolerance = FiniteNumber(required=False, min_value=0, max_value=1_000)
    instances = WholeNumber(required=False, min_value=1, max_value=64)


class WeightSerializer(StrictSerializer):
    """The present step's share."""

    weight_percent = FiniteNumber(min_value=0, max_value=100)


class RolloutFilter(StrictFilterSet):
    """Narrows the list of rollouts."""

    state = filters.ChoiceFilter(choices=RolloutState.choices)
    mode = filters.ChoiceFilter(choices=RolloutModeChoice.choices)
    ordering = ordering("created_at")

    class Meta:
        model = Rollout
        fields: tuple[str, ...] = ()


class RolloutListView(ListView):
    """A model's rollouts, and starting one."""

    permission_classes = (ReadOrStaff,)
    serializer_class = RolloutSerializer
    filterset_class = RolloutFilter
    queryset = Rollout.objects.none()

    def get_queryset(self) -> QuerySet[Rollout]:
        """The model's rollouts, newest first."""
        return rollouts(find_model(self.kwargs["name"]).name)

    @extend_schema(
        operation_id="listRollouts",
        summary="List a model's rollouts",
        tags=TAGS,
        responses=listed(RolloutSerializer, 400, 404),
    )
    def get(self, request: Request, name: str) -> Response:
        """Rollouts, newest first."""
        del request, name
        return self.page_of(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        operation_id="startRollout",
        summary="Start a rollout",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=NewRolloutSerializer,
        responses={201: RolloutDetailSerializer, **problems(400, 404, 409, 412)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Load the candidate beside the default version and give it the first step's share once it answers.

        If-Match is the model's ETag.
        """
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        values = validated(NewRolloutSerializer(data=request.data))
        candidate = find_version(name, values.pop("candidate"))
        if "steps" in values:
            values["steps"] = [dict(step) for step in values["steps"]]
        rollout = services.start(
            actor=actor_of(request), model=model, candidate=candidate, expected_revision=expected, **values
        )
        location = reverse("api:rollout", kwargs={"name": name, "rollout_id": rollout.pk})
        return rollout_answer(name, rollout.pk, status.HTTP_201_CREATED, location)


class RolloutView(ApiView):
    """One rollout."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getRollout",
        summary="Read a rollout",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: RolloutDetailSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str, rollout_id: int) -> Response:
        """Where it stands and why, with the numbers of the last look."""
        del request
        return rollout_answer(name, rollout_id)

    @extend_schema(
        operation_id="setRolloutWeight",
        summary="Set the present step's weight",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=WeightSerializer,
        responses={200: RolloutDetailSerializer, **problems(400, 404, 409, 412)},
    )
    def patch(self, request: Request, name: str, rollout_id: int) -> Response:
        """Give the candidate this share from now on; the step's hold time begins anew."""
        rollout = find_rollout(name, rollout_id)
        expected = expected_revision(request, rollout.revision)
        values = validated(WeightSerializer(data=request.data))
        services.set_weight(actor=actor_of(request), rollout=rollout, expected_revision=expected, **values)
        return rollout_answer(name, rollout_id)


def find_rollout(name: str, rollout_id: int) -> Rollout:
    """The rollout, or NotFound."""
    rollout = rollouts(find_model(name).name).filter(pk=rollout_id).first()
    if rollout is None:
        raise NotFound(_("%(name)s has no rollout %(rollout_id)s.") % {"name": name, "rollout_id": rollout_id})
    return rollout


def rollout_answer(
    name: str, rollout_id: int, status_code: int = status.HTTP_200_OK, location: str | None = None
) -> Response:
    """The rollout as it stands now."""
    rollout = find_rollout(name, rollout_id)
    return shown(RolloutDetailSerializer(rollout).data, rollout.revision, status_code=status_code, location=location)
