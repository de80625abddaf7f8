"""/decisions: what was decided and why, what came of it, and what people say to it: apply, dismiss, undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin import selectors
from models_admin.api.base import ApiView, ListView, validated
from models_admin.api.fields import StrictSerializer
from models_admin.api.filters import StrictFilterSet, ordering, since, until
from models_admin.api.identity import actor_of
from models_admin.api.openapi import listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.models import Decision
from models_admin.models.control import DecisionStatus
from models_admin.services import tuning as services
from models_admin.services.actors import Actor
from models_admin.services.errors import NotFound

TAGS = ["decisions"]
EXPECTATION = ("metric", "before", "after", "better")


class ExpectationSerializer(serializers.Serializer[Any]):
    """What a change is expected to move."""

    metric = serializers.CharField(help_text="Such as `p99_ms` or `hits_ratio`.")
    before = serializers.FloatField(allow_null=True)
    after = serializers.FloatField(allow_null=True)
    better = serializers.ChoiceField(choices=["lower", "higher"])


class WindowsSerializer(serializers.Serializer[Any]):
    """Figures of two windows of equal length."""

    before = serializers.DictField(required=False)
    after = serializers.DictField(required=False)


@extend_schema_field(ExpectationSerializer(allow_null=True))
class PredictedField(serializers.Field):  # type: ignore[type-arg]
    """The expectation alone; null where nothing was predicted."""

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any] | None:
        """Without what only the control loop reads again."""
        return {name: value.get(name) for name in EXPECTATION} if value else None


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """One change of one knob, or a proposal of one."""

    model = serializers.CharField(source="model.name")
    evidence = serializers.DictField(help_text="The numbers that it was taken on.")
    predicted = PredictedField(read_only=True)
    measured = WindowsSerializer(help_text="What was measured before and after; empty while it is not known.")
    undoes = serializers.IntegerField(
        source="undoes_id", allow_null=True, help_text="The decision that this one took back."
    )

    class Meta:
        model = Decision
        fields = (
            "id",
            "at",
            "model",
            "knob",
            "from_value",
            "to_value",
            "reason",
            "explanation",
            "expected",
            "evidence",
            "actor",
            "status",
            "predicted",
            "measured",
            "outcome",
            "applied_at",
            "settled_at",
            "undoes",
        )
        read_only_fields = fields


class DecisionFilter(StrictFilterSet):
    """Narrows the list of decisions."""

    model = filters.CharFilter(field_name="model__name", help_text="The model's name.")
    knob = filters.CharFilter(help_text="Such as `instances`.")
    status = filters.ChoiceFilter(choices=DecisionStatus.choices, help_text="Such as `advised`.")
    reason = filters.CharFilter(help_text="The reason's word.")
    actor = filters.CharFilter(help_text="Such as `system:autoscaler`.")
    since = since()
    until = until()
    ordering = ordering("at")

    class Meta:
        model = Decision
        fields: tuple[str, ...] = ()


class DecisionListView(ListView):
    """The decisions."""

    permission_classes = (ReadOrStaff,)
    serializer_class = DecisionSerializer
    filterset_class = DecisionFilter
    queryset = Decision.objects.none()

    def get_queryset(self) -> QuerySet[Decision]:
        """Every decision."""
        return selectors.decisions()

    @extend_schema(
        operation_id="listDecisions",
        summary="List decisions",
        tags=TAGS,
        responses=listed(DecisionSerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """Decisions of the control loop and of operators, newest first; proposals are those with status `advised`."""
        del request
        return self.page_of(self.filter_queryset(self.get_queryset()))


class _ActionView(ApiView):
    permission_classes = (ReadOrStaff,)

    def _act(self, request: Request, decision_id: int, service: Callable[..., Decision]) -> Response:
        validated(StrictSerializer(data=request.data))
        actor: Actor = actor_of(request)
        decision = service(actor=actor, decision=find_decision(decision_id))
        return Response(DecisionSerializer(find_decision(decision.pk)).data)


def _documented(operation: str, summary: str) -> Callable[[Any], Any]:
    return extend_schema(
        operation_id=operation,
        summary=summary,
        tags=TAGS,
        request=None,
        responses={200: DecisionSerializer, **problems(400, 404, 409)},
    )


class ApplyView(_ActionView):
    """Apply."""

    permission_classes = (ReadOrStaff,)

    @_documented("applyDecision", "Take a proposal")
    def post(self, request: Request, decision_id: int) -> Response:
        """Move the knob now and measure what it does; it is undone by itself if it does not help.

        A proposed number of instances is set for good. 409 if it is not proposed any more, the knob has another value
        by now, another knob of the model is being measured, or all tuning is frozen.
        """
        return self._act(request, decision_id, services.apply_advice)


class DismissView(_ActionView):
    """Dismiss."""

    permission_classes = (ReadOrStaff,)

    @_documented("dismissDecision", "Dismiss a proposal")
    def post(self, request: Request, decision_id: int) -> Response:
        """Say no to a proposal. The same is not proposed again at such a load for an hour, longer each time."""
        return self._act(request, decision_id, services.dismiss)


class UndoView(_ActionView):
    """Undo."""

    permission_classes = (ReadOrStaff,)

    @_documented("undoDecision", "Undo a decision")
    def post(self, request: Request, decision_id: int) -> Response:
        """Set the knob back to what it was before; answers with the new decision, which names this one in `undoes`.

        409 if the knob was changed since, or the decision is not in force.
        """
        return self._act(request, decision_id, services.undo_decision)


def find_decision(decision_id: int) -> Decision:
    """The decision, or NotFound."""
    try:
        return selectors.decisions().get(pk=decision_id)
    except Decision.DoesNotExist:
        raise NotFound(f"There is no decision {decision_id}.") from None
