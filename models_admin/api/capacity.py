"""/models/{name}/capacity: how many instances a rate and a latency need, by the live fit, with the fit's error."""

from __future__ import annotations

from math import isfinite
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, validated
from models_admin.api.fields import StrictSerializer
from models_admin.api.lookups import find_model
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.selectors import tuning as selectors
from proxy.tuner.capacity import CapacityAnswer, Fit, capacity, fit_from

TAGS = ["tuning"]
MOST = 1e9
"""Largest rate and latency that can be asked for."""


class Amount(serializers.FloatField):
    """A finite number in a query, where every value is text."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Give a number."}

    def to_internal_value(self, data: Any) -> float:
        """The number."""
        value = float(super().to_internal_value(data))
        if not isfinite(value):
            self.fail("invalid")
        return value


class QuestionSerializer(StrictSerializer):
    """The rate to be carried, and the latency to hold at it."""

    rate_per_s = Amount(min_value=0.001, max_value=MOST, help_text="Requests a second, cache hits included.")
    p99_ms = Amount(required=False, min_value=0, max_value=MOST, help_text="p99 to hold, in ms. 0: any.")
    p95_ms = Amount(required=False, min_value=0, max_value=MOST, help_text="p95 to hold instead.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One target, not two."""
        if "p95_ms" in attrs and "p99_ms" in attrs:
            raise serializers.ValidationError({"p95_ms": ["Ask for p99_ms or for p95_ms, not both."]})
        return attrs


class LineSerializer(serializers.Serializer[Any]):
    """Service time of an execution: alpha_ms + beta_ms · rows."""

    alpha_ms = serializers.FloatField()
    beta_ms = serializers.FloatField()
    rows_per_execution = serializers.FloatField(help_text="Mean batch that it was fitted at.")
    executions = serializers.IntegerField(help_text="How many it was fitted to.")


class CapacitySerializer(serializers.Serializer[Any]):
    """The answer, and how far to trust it."""

    instances = serializers.IntegerField(allow_null=True, help_text="Null: no answer; `words` say why.")
    words = serializers.CharField()
    limited_by = serializers.CharField(help_text="target, load, service time, fit or question.")
    rate_per_s = serializers.FloatField()
    target_ms = serializers.FloatField(help_text="0: any.")
    quantile = serializers.IntegerField()
    predicted_p95_ms = serializers.FloatField(allow_null=True, help_text="With so many instances at that rate.")
    predicted_p99_ms = serializers.FloatField(allow_null=True)
    utilisation = serializers.FloatField(allow_null=True)
    rows_per_execution = serializers.FloatField(allow_null=True)
    fit = LineSerializer(allow_null=True, help_text="Null where nothing was executed lately.")
    present = serializers.DictField(
        child=serializers.FloatField(allow_null=True),
        help_text="The present load: predicted next to measured; error_ratio_… is (predicted − measured) / measured.",
    )
    assumptions = serializers.ListField(child=serializers.CharField())


class CapacityView(ApiView):
    """What a model could carry."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({"rate_per_s", "p99_ms", "p95_ms"})

    @extend_schema(
        operation_id="getCapacity",
        summary="Ask how many instances a rate and a latency need",
        tags=TAGS,
        parameters=[QuestionSerializer],
        responses={200: CapacitySerializer, **problems(400, 404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The smallest number of instances, from the service time and the load of the last half minute.

        Without a latency the policy's target is asked for. Nothing is changed by asking.
        """
        model = find_model(name)
        asked = validated(QuestionSerializer(data=request.query_params.dict()))
        policy = model.policy
        quantile = 95 if "p95_ms" in asked else 99 if "p99_ms" in asked else policy.latency_quantile
        target_ms = asked.get(f"p{quantile}_ms", float(policy.latency_target_ms))
        fit = fit_from(selectors.last_window(name, timezone.now()), selectors.settings_of(model))
        answer = capacity(fit, asked["rate_per_s"], target_ms, quantile=quantile, max_instances=policy.max_instances)
        return Response(CapacitySerializer(_content(fit, answer)).data)


def _content(fit: Fit | None, answer: CapacityAnswer) -> dict[str, Any]:
    line = fit and {
        "alpha_ms": 1_000 * fit.line.alpha_s,
        "beta_ms": 1_000 * fit.line.beta_s,
        "rows_per_execution": fit.line.rows,
        "executions": fit.executions,
    }
    predicted = {f"predicted_p{percent}_ms": finite(answer.predicted_ms.get(percent)) for percent in (95, 99)}
    present = {name: finite(value) for name, value in answer.present.items()}
    shared = ("instances", "words", "limited_by", "rate_per_s", "target_ms", "quantile", "assumptions")
    content = {name: getattr(answer, name) for name in shared}
    figures = {name: finite(getattr(answer, name)) for name in ("utilisation", "rows_per_execution")}
    return {**content, **figures, **predicted, "present": present, "fit": line}


def finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and isfinite(value) else None
