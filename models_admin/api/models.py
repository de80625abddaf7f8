"""/models: the registry's models, loading and unloading, and the number of instances that is wanted."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin import selectors
from models_admin.api.base import ApiView, ListView, deleted, shown, validated
from models_admin.api.deletion import DELETED, FOR_GOOD, KeptUntilField, for_good, wants_deleted
from models_admin.api.fields import StrictSerializer, Text, WholeNumber
from models_admin.api.filters import StrictFilterSet, ordering, true_or_false
from models_admin.api.identity import actor_of
from models_admin.api.live import LiveModelField
from models_admin.api.lookups import find_deleted_model, find_model
from models_admin.api.openapi import ETAG, IF_MATCH, listed, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.models import Model
from models_admin.models.registry import MODEL_NAME_PATTERN, validate_model_name
from models_admin.selectors.deleted import deleted_models
from models_admin.services import deletions, scaling
from models_admin.services import models as services

MAX_INSTANCES = 64
MAX_DESCRIPTION_CHARACTERS = 4_000
TAGS = ["models"]


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A model as it is wanted (the row) and as it is (`live`)."""

    default_version = serializers.IntegerField(source="default_version.number", default=None, allow_null=True)
    version_count = serializers.IntegerField()
    wanted_instances = serializers.IntegerField(source="scaling.wanted_instances", default=None, allow_null=True)
    live = LiveModelField()
    kept_until = KeptUntilField()
    artifact_bytes = serializers.IntegerField(
        default=None, allow_null=True, help_text="Of a deleted model: what its files still take."
    )

    class Meta:
        model = Model
        fields = (
            "name",
            "description",
            "loaded",
            "default_version",
            "version_count",
            "wanted_instances",
            "live",
            "revision",
            "created_at",
            "updated_at",
            "deleted_at",
            "deleted_by",
            "kept_until",
            "artifact_bytes",
        )
        read_only_fields = fields


class NewModelSerializer(StrictSerializer):
    """What a new model needs."""

    name = Text(max_length=128, trim_whitespace=False, validators=[validate_model_name], help_text=MODEL_NAME_PATTERN)
    description = Text(max_length=MAX_DESCRIPTION_CHARACTERS, allow_blank=True, default="")


class ModelChangeSerializer(StrictSerializer):
    """What may change of a model."""

    description = Text(max_length=MAX_DESCRIPTION_CHARACTERS, allow_blank=True, required=False)


class InstanceCountSerializer(StrictSerializer):
    """The wanted number of instances."""

    count = WholeNumber(min_value=1, max_value=MAX_INSTANCES, help_text="Within the policy's bounds.")


class ModelFilter(StrictFilterSet):
    """Narrows the list of models."""

    name = filters.CharFilter(lookup_expr="icontains", help_text="Part of the name.")
    loaded = true_or_false()
    ordering = ordering("name", "created_at", "updated_at")

    class Meta:
        model = Model
        fields: tuple[str, ...] = ()


class ModelListView(ListView):
    """Models, and making one."""

    permission_classes = (ReadOrStaff,)
    serializer_class = ModelSerializer
    filterset_class = ModelFilter
    query_parameters = frozenset({DELETED.name})
    queryset = Model.objects.none()

    def get_queryset(self) -> QuerySet[Model]:
        """Every model, or the deleted ones."""
        return deleted_models() if wants_deleted(self.request) else selectors.models_overview()

    @extend_schema(
        operation_id="listModels",
        summary="List models",
        tags=TAGS,
        parameters=[DELETED],
        responses=listed(ModelSerializer, 400),
    )
    def get(self, request: Request) -> Response:
        """Models by name, each with its live state."""
        del request
        return self.page_of(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        operation_id="createModel",
        summary="Create a model",
        tags=TAGS,
        request=NewModelSerializer,
        parameters=[ETAG],
        responses={201: ModelSerializer, **problems(400, 409)},
    )
    def post(self, request: Request) -> Response:
        """A new model without versions. Upload its first version next; when that is ready it serves."""
        values = validated(NewModelSerializer(data=request.data))
        model = services.create_model(actor=actor_of(request), **values)
        return model_answer(
            model.name, status.HTTP_201_CREATED, location=reverse("api:model", kwargs={"name": model.name})
        )


class ModelView(ApiView):
    """One model."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({FOR_GOOD.name})

    @extend_schema(
        operation_id="getModel",
        summary="Read a model",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: ModelSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The model with its live state."""
        del request
        return model_answer(name)

    @extend_schema(
        operation_id="updateModel",
        summary="Change a model's description",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=ModelChangeSerializer,
        responses={200: ModelSerializer, **problems(400, 404, 412)},
    )
    def patch(self, request: Request, name: str) -> Response:
        """Set the given fields."""
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        values = validated(ModelChangeSerializer(data=request.data))
        services.update_model(actor=actor_of(request), model=model, expected_revision=expected, **values)
        return model_answer(name)

    @extend_schema(
        operation_id="deleteModel",
        summary="Delete a model",
        tags=TAGS,
        parameters=[IF_MATCH, FOR_GOOD],
        responses={204: None, **problems(404, 409, 412)},
    )
    def delete(self, request: Request, name: str) -> Response:
        """Delete an unloaded model with its versions. They are kept for a while (`?deleted=true` lists them)."""
        if for_good(request):
            deletions.remove_model(actor=actor_of(request), model=find_deleted_model(name))
            return deleted()
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        deletions.delete_model(actor=actor_of(request), model=model, expected_revision=expected)
        return deleted()


class RestoreModelView(ApiView):
    """Restore."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="restoreModel",
        summary="Restore a deleted model",
        tags=TAGS,
        request=None,
        parameters=[ETAG],
        responses={200: ModelSerializer, **problems(400, 404)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Bring a deleted model back with the versions that were deleted with it, as unloaded as it was."""
        validated(StrictSerializer(data=request.data))
        deletions.restore_model(actor=actor_of(request), model=find_deleted_model(name))
        return model_answer(name)


class _SetLoadedView(ApiView):
    """Common part of load and unload."""

    permission_classes = (ReadOrStaff,)
    loaded = True

    def _set(self, request: Request, name: str) -> Response:
        validated(StrictSerializer(data=request.data))
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        services.set_loaded(actor=actor_of(request), model=model, loaded=self.loaded, expected_revision=expected)
        return model_answer(name)


class LoadView(_SetLoadedView):
    """Load."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="loadModel",
        summary="Load a model",
        tags=TAGS,
        request=None,
        parameters=[IF_MATCH, ETAG],
        responses={200: ModelSerializer, **problems(404, 412)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Want instances of the default version. The answer comes at once; `live` shows how far loading is."""
        return self._set(request, name)


class UnloadView(_SetLoadedView):
    """Unload."""

    permission_classes = (ReadOrStaff,)
    loaded = False

    @extend_schema(
        operation_id="unloadModel",
        summary="Unload a model",
        tags=TAGS,
        request=None,
        parameters=[IF_MATCH, ETAG],
        responses={200: ModelSerializer, **problems(404, 412)},
    )
    def post(self, request: Request, name: str) -> Response:
        """End the instances once they have answered what they hold. Calls are then refused as not ready."""
        return self._set(request, name)


class InstanceCountView(ApiView):
    """The wanted number of instances."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="setInstances",
        summary="Set the number of instances",
        tags=TAGS,
        request=InstanceCountSerializer,
        responses={200: ModelSerializer, **problems(400, 404, 409)},
    )
    def put(self, request: Request, name: str) -> Response:
        """Want this many instances of the default version, within the policy's bounds; recorded as a decision.

        With autoscale on, measured load may change the number again.
        """
        model = find_model(name)
        values = validated(InstanceCountSerializer(data=request.data))
        scaling.set_instances(actor=actor_of(request), model=model, count=values["count"])
        return model_answer(name)


def model_answer(name: str, status_code: int = status.HTTP_200_OK, location: str | None = None) -> Response:
    """The model as it stands now."""
    model = find_model(name)
    data: Any = ModelSerializer(model).data
    return shown(data, model.revision, status_code=status_code, location=location)
