"""/keys: API keys. The secret is shown once, in the answer that makes the key."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin import selectors
from models_admin.api.base import ApiView, ListView, deleted, validated
from models_admin.api.deletion import true_in
from models_admin.api.fields import StrictSerializer, Text, TrueOrFalse, WholeNumber
from models_admin.api.filters import StrictFilterSet, ordering
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_key
from models_admin.api.openapi import listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.models import ApiKey, Model
from models_admin.models.access import KeyScope
from models_admin.services import keys as services
from models_admin.services.errors import Invalid

TAGS = ["keys"]
MAX_MODELS = 1_000
WITH_MADE = OpenApiParameter(
    "with_made", OpenApiTypes.BOOL, description="true: the keys that were made with it end, too. Default: false."
)


class KeySerializer(serializers.ModelSerializer[ApiKey]):
    """A key without its secret."""

    models = serializers.SlugRelatedField(slug_field="name", many=True, read_only=True)
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    state = serializers.SerializerMethodField(help_text="active, expired, revoked, or suspended (its account is off).")

    class Meta:
        model = ApiKey
        fields = (
            "id",
            "name",
            "prefix",
            "scope",
            "all_models",
            "models",
            "may_upload_code",
            "weight",
            "tenant",
            "requests_per_s",
            "state",
            "created_by",
            "made_with",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        )
        read_only_fields = fields

    def get_state(self, key: ApiKey) -> str:
        """Whether the key opens anything now."""
        return str(services.state_of(key, timezone.now()).value)


class NewKeySerializer(StrictSerializer):
    """What a new key may do."""

    name = Text(max_length=100)
    scope = serializers.ChoiceField(choices=KeyScope.choices, default=KeyScope.INFERENCE.value)
    all_models = TrueOrFalse(required=False, help_text="Default: true unless `models` is given.")
    models = serializers.ListField(
        child=Text(max_length=128), required=False, max_length=MAX_MODELS, help_text="Names."
    )
    may_upload_code = TrueOrFalse(default=False)
    weight = WholeNumber(default=1, min_value=1, max_value=100, help_text="Share of a busy model beside other keys.")
    tenant = Text(
        max_length=64,
        default="",
        allow_blank=True,
        help_text="Keys of one tenant may share cached answers; default: none.",
    )
    requests_per_s = WholeNumber(
        default=0,
        min_value=0,
        max_value=1_000_000,
        help_text="Requests a second it may send, in bursts of 2 s; 0: any.",
    )
    expires_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Default: never; for a caller whose own key has an expiry that one, which is the latest, too.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`models` and `all_models` agree."""
        names = attrs.get("models", [])
        if names and attrs.get("all_models"):
            raise serializers.ValidationError({"models": ["Leave this out, or set all_models to false."]})
        attrs.setdefault("all_models", not names)
        return attrs


class KeyMadeSerializer(KeySerializer):
    """A key just made, with its secret."""

    secret = serializers.CharField(help_text="Shown now and never again.")

    class Meta(KeySerializer.Meta):
        fields = (*KeySerializer.Meta.fields, "secret")
        read_only_fields = fields


class KeyFilter(StrictFilterSet):
    """Narrows the list of keys."""

    scope = filters.ChoiceFilter(choices=KeyScope.choices)
    state = filters.ChoiceFilter(choices=services.KeyState.choices, method="by_state")
    ordering = ordering("created_at", "name", "last_used_at")

    class Meta:
        model = ApiKey
        fields: tuple[str, ...] = ()

    def by_state(self, rows: QuerySet[ApiKey], name: str, value: str) -> QuerySet[ApiKey]:
        """Keys in this state now."""
        del name
        return rows.filter(services.in_state(value, timezone.now()))


class KeyListView(ListView):
    """Keys, and making one."""

    permission_classes = (ReadOrStaff,)
    serializer_class = KeySerializer
    filterset_class = KeyFilter
    queryset = ApiKey.objects.none()

    def get_queryset(self) -> QuerySet[ApiKey]:
        """Every key."""
        return selectors.keys()

    @extend_schema(
        operation_id="listKeys",
        summary="List API keys",
        tags=TAGS,
        responses=listed(KeySerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """Keys, newest first, without their secrets."""
        del request
        return self.page_of(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        operation_id="createKey",
        summary="Make an API key",
        tags=TAGS,
        request=NewKeySerializer,
        responses={201: KeyMadeSerializer, **problems(400)},
    )
    def post(self, request: Request) -> Response:
        """A new key. Keep the secret: only its digest is stored."""
        values = validated(NewKeySerializer(data=request.data))
        values["models"] = _models(values.pop("models", []))
        key, secret = services.create_key(actor=actor_of(request), **values)
        key = find_key(key.pk)
        key.secret = secret  # type: ignore[attr-defined]  # for this one answer
        location = reverse("api:key", kwargs={"key_id": key.pk})
        return Response(KeyMadeSerializer(key).data, status=status.HTTP_201_CREATED, headers={"Location": location})


class KeyView(ApiView):
    """One key."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({WITH_MADE.name})

    def known_parameters(self) -> frozenset[str]:
        """For the end of a key only."""
        return super().known_parameters() if self.request.method == "DELETE" else frozenset()

    @extend_schema(
        operation_id="getKey", summary="Read an API key", tags=TAGS, responses={200: KeySerializer, **problems(404)}
    )
    def get(self, request: Request, key_id: int) -> Response:
        """The key without its secret."""
        del request
        return Response(KeySerializer(find_key(key_id)).data)

    @extend_schema(
        operation_id="revokeKey",
        summary="Revoke an API key",
        tags=TAGS,
        parameters=[WITH_MADE],
        responses={204: None, **problems(400, 404)},
    )
    def delete(self, request: Request, key_id: int) -> Response:
        """End the key for good; for one that leaked, those made with it, too. The rows stay for the audit log."""
        services.revoke_key(actor=actor_of(request), key=find_key(key_id), with_made=true_in(request, WITH_MADE))
        return deleted()


def _models(names: list[str]) -> list[Model]:
    found = {model.name: model for model in Model.objects.filter(name__in=names)}
    missing = [name for name in names if name not in found]
    if missing:
        raise Invalid(_("There is no model named %(missing)s.") % {"missing": missing[0]}, field="models")
    return list(found.values())
