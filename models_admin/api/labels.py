"""/models/{name}/labels: names that stand in inference URLs where a version's number may."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, deleted, shown, validated
from models_admin.api.fields import StrictSerializer, WholeNumber
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model, find_version
from models_admin.api.openapi import ETAG, IF_MATCH, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.models import Model, VersionLabel
from models_admin.services import labels as services
from models_admin.services.errors import NotFound

TAGS = ["versions"]


class LabelSerializer(serializers.ModelSerializer[VersionLabel]):
    """A label and where it points."""

    label = serializers.CharField(source="name")
    version = serializers.IntegerField(source="version.number")

    class Meta:
        model = VersionLabel
        fields = ("label", "version")
        read_only_fields = fields


class LabelsSerializer(serializers.Serializer[Model]):
    """Every label of a model; its ETag is the model's."""

    labels = LabelSerializer(many=True)


class LabelTargetSerializer(StrictSerializer):
    """Where a label shall point."""

    version = WholeNumber(min_value=1, max_value=999_999_999, help_text="Number of a ready version.")


class LabelListView(ApiView):
    """A model's labels."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="listLabels",
        summary="List a model's labels",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: LabelsSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """Labels by name. `stable` and `canary` have a meaning before anyone sets them; they are listed once set."""
        del request
        model = find_model(name)
        rows = VersionLabel.objects.filter(model=model).select_related("version")
        return shown(LabelsSerializer({"labels": rows}).data, model.revision)  # type: ignore[arg-type]


class LabelView(ApiView):
    """One label."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="getLabel",
        summary="Read a label",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: LabelSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str, label: str) -> Response:
        """The version that the label points at."""
        del request
        return _answer(find_model(name), label)

    @extend_schema(
        operation_id="setLabel",
        summary="Set or move a label",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=LabelTargetSerializer,
        responses={200: LabelSerializer, **problems(400, 404, 409, 412)},
    )
    def put(self, request: Request, name: str, label: str) -> Response:
        """Point the label at a ready version, which is kept loaded from then on. If-Match is the model's ETag."""
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        values = validated(LabelTargetSerializer(data=request.data))
        version = find_version(name, values["version"])
        services.set_label(
            actor=actor_of(request), model=model, name=label, version=version, expected_revision=expected
        )
        return _answer(find_model(name), label)

    @extend_schema(
        operation_id="removeLabel",
        summary="Remove a label",
        tags=TAGS,
        parameters=[IF_MATCH],
        responses={204: None, **problems(404, 412)},
    )
    def delete(self, request: Request, name: str, label: str) -> Response:
        """Take the label away: calls that name it are answered 404."""
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        services.remove_label(actor=actor_of(request), model=model, name=label, expected_revision=expected)
        return deleted()


def _answer(model: Model, label: str) -> Response:
    row = VersionLabel.objects.filter(model=model, name=label).select_related("version").first()
    if row is None:
        raise NotFound(_("%(name)s has no label %(label)s.") % {"name": model.name, "label": label})
    return shown(LabelSerializer(row).data, model.revision)
