"""/tuning and /models/{name}/tuning: whether tuning stands still, what it may do, and what it is at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, shown, validated
from models_admin.api.decisions import DecisionSerializer
from models_admin.api.fields import StrictSerializer, TrueOrFalse
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model
from models_admin.api.openapi import ETAG, IF_MATCH, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.models import Model, TuningState, TuningSwitch
from models_admin.selectors import tuning as selectors
from models_admin.services import tuning as services
from proxy.core.policies import Knob, Objective, TuningMode

TAGS = ["tuning"]
MODES = [(mode.value, mode.value) for mode in TuningMode]
MOST_TRIED = 50
"""Entries of the memory that an answer shows, the newest ones."""


class SwitchSerializer(StrictSerializer, serializers.ModelSerializer[TuningSwitch]):  # type: ignore[misc]
    """Whether all tuning stands still."""

    frozen = TrueOrFalse(help_text="True: nothing is changed and nothing proposed, the number of instances included.")

    class Meta:
        model = TuningSwitch
        fields = ("frozen", "changed_by", "changed_at")
        read_only_fields = ("changed_by", "changed_at")


class SwitchView(ApiView):
    """All tuning."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getTuningSwitch",
        summary="Read whether tuning is frozen",
        tags=TAGS,
        responses={200: SwitchSerializer, **problems()},
    )
    def get(self, request: Request) -> Response:
        """Whether it stands still, and who said so last."""
        del request
        return Response(SwitchSerializer(selectors.switch()).data)

    @extend_schema(
        operation_id="setTuningSwitch",
        summary="Freeze all tuning, or let it go on",
        tags=TAGS,
        request=SwitchSerializer,
        responses={200: SwitchSerializer, **problems(400)},
    )
    def put(self, request: Request) -> Response:
        """Freezing undoes what is being measured. People's changes, waking and rollouts go on."""
        values = validated(SwitchSerializer(data=request.data))
        return Response(SwitchSerializer(services.set_frozen(actor=actor_of(request), **values)).data)


class ModesSerializer(StrictSerializer):
    """What tuning may do with each knob."""

    def get_fields(self) -> dict[str, Any]:
        """One for each knob."""
        return {knob.value: serializers.ChoiceField(choices=MODES, required=False) for knob in Knob}


class ModesChangeSerializer(StrictSerializer):
    """Modes to set; knobs that are not named stay as they are."""

    modes = ModesSerializer()


class LookSerializer(serializers.Serializer[Any]):
    """The last look at the model."""

    at = serializers.DateTimeField(allow_null=True, help_text="Null: nobody has asked for the model yet.")
    step = serializers.CharField(help_text="hold, advise, begin, measure, keep or undo.")
    why = serializers.CharField(help_text="A reason of the tuner.")
    words = serializers.CharField(help_text="What was done, or why nothing.")
    by_knob = serializers.DictField(child=serializers.CharField(), help_text="What there is to say of each knob.")


class TriedSerializer(serializers.Serializer[Any]):
    """One step that was tried."""

    knob = serializers.CharField()
    from_value = serializers.JSONField()
    to_value = serializers.JSONField()
    outcome = serializers.CharField(help_text="kept, undone or inconclusive.")
    load = serializers.IntegerField(help_text="log₂ of the requests a second at which it was tried.")
    at_unix_s = serializers.FloatField()
    objective = serializers.CharField()


class TuningSerializer(serializers.Serializer[Any]):
    """What tuning of one model is at."""

    frozen = serializers.BooleanField(help_text="Whether all tuning stands still.")
    objective = serializers.ChoiceField(choices=[objective.value for objective in Objective])
    latency_quantile = serializers.IntegerField()
    latency_target_ms = serializers.IntegerField(help_text="0: no target.")
    modes = serializers.DictField(child=serializers.CharField(), help_text="Of each knob: off, advise or automatic.")
    values = serializers.DictField(help_text="Of each knob, as it is wanted now.")
    trial = DecisionSerializer(allow_null=True, help_text="What is being measured.")
    cooldown_until = serializers.DateTimeField(allow_null=True, help_text="Nothing is begun before.")
    look = LookSerializer()
    tried = TriedSerializer(many=True, help_text=f"Newest last, at most {MOST_TRIED}.")


class ModelTuningView(ApiView):
    """Tuning of one model."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getModelTuning",
        summary="Read what tuning of a model is at",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: TuningSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """Modes, the running trial, the last look in words, what was tried. The ETag is the policy's."""
        del request
        return _answer(find_model(name))

    @extend_schema(
        operation_id="setTuningModes",
        summary="Set what tuning may do with a model's knobs",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=ModesChangeSerializer,
        responses={200: TuningSerializer, **problems(400, 404, 412)},
    )
    def patch(self, request: Request, name: str) -> Response:
        """Set modes, as a change of the policy. Switching a knob off undoes its trial.

        `instances` is automatic where the policy's `autoscale` is on, and the other way round.
        """
        model = find_model(name)
        expected = expected_revision(request, model.policy.revision)
        modes = validated(ModesChangeSerializer(data=request.data))["modes"]
        services.set_modes(actor=actor_of(request), model=model, modes=modes, expected_revision=expected)
        return _answer(find_model(name))


def _answer(model: Model) -> Response:
    policy, now = model.policy, timezone.now()
    state = TuningState.objects.filter(model=model).select_related("trial__model").first() or TuningState(model=model)
    content = {
        "frozen": selectors.is_frozen(),
        "objective": policy.objective,
        "latency_quantile": policy.latency_quantile,
        "latency_target_ms": policy.latency_target_ms,
        "modes": {knob.value: selectors.mode_of(policy, knob).value for knob in Knob},
        "values": selectors.settings_of(model).as_mapping(),
        "trial": state.trial,
        "cooldown_until": state.cooldown_until if state.cooldown_until and state.cooldown_until > now else None,
        "look": _look(state),
        "tried": state.tried[-MOST_TRIED:],
    }
    return shown(TuningSerializer(content).data, policy.revision)


def _look(state: TuningState) -> dict[str, Any]:
    look = state.look
    at = datetime.fromisoformat(look["at"]) if look.get("at") else None
    texts = {name: look.get(name, "") for name in ("step", "why", "words")}
    return {"at": at, **texts, "by_knob": look.get("by_knob", {})}
