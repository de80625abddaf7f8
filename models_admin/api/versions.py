"""/models/{name}/versions: uploads, validation's outcome, and what happens to a version afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin import selectors
from models_admin.api.base import ApiView, ListView, deleted, shown, validated
from models_admin.api.deletion import ARCHIVED, DELETED, FOR_GOOD, for_good, true_in, wants_deleted
from models_admin.api.fields import StrictSerializer, Text, TrueOrFalse
from models_admin.api.filters import StrictFilterSet, ordering
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_deleted_version, find_model, find_version
from models_admin.api.openapi import ETAG, IF_MATCH, listed, problems
from models_admin.api.parsers import BoundedJSONParser, UploadParser, form_values
from models_admin.api.patience import PREFER_WAIT, preferred_wait_s
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.api.uploads import UploadSerializer
from models_admin.api.version_fields import VersionDetailSerializer, VersionSerializer
from models_admin.models import ModelVersion
from models_admin.models.registry import ArtifactFormat, VersionState
from models_admin.publishing.snapshot import current_generation
from models_admin.selectors.deleted import deleted_versions
from models_admin.services import deletions
from models_admin.services import versions as services
from proxy import gateway

TAGS = ["versions"]
MAX_NOTES_CHARACTERS = 4_000


class VersionChangeSerializer(StrictSerializer):
    """What may change of a version; its artifact and how it is run never do."""

    notes = Text(max_length=MAX_NOTES_CHARACTERS, allow_blank=True, required=False)
    keep_loaded = TrueOrFalse(required=False, help_text="Keep one instance even when not the default version.")


class VersionFilter(StrictFilterSet):
    """Narrows the list of versions."""

    state = filters.ChoiceFilter(choices=VersionState.choices)
    format = filters.ChoiceFilter(choices=ArtifactFormat.choices)
    ordering = ordering("number", "created_at", "size_bytes")

    class Meta:
        model = ModelVersion
        fields: tuple[str, ...] = ()


class VersionListView(ListView):
    """A model's versions, and uploading one."""

    permission_classes = (ReadOrStaff,)
    parser_classes = (UploadParser,)
    serializer_class = VersionSerializer
    filterset_class = VersionFilter
    query_parameters = frozenset({DELETED.name, ARCHIVED.name})
    queryset = ModelVersion.objects.none()

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """The model's versions, newest first: those in use, the archived ones, too, or the deleted ones."""
        name = find_model(self.kwargs["name"]).name
        if wants_deleted(self.request):
            return deleted_versions(name)
        rows = selectors.versions(name).select_related("model__default_version")
        with_archived = true_in(self.request, ARCHIVED) or "state" in self.request.query_params
        return rows if with_archived else rows.exclude(state=VersionState.ARCHIVED)

    @extend_schema(
        operation_id="listVersions",
        summary="List a model's versions",
        tags=TAGS,
        parameters=[ARCHIVED, DELETED],
        responses=listed(VersionSerializer, 400, 404),
    )
    def get(self, request: Request, name: str) -> Response:
        """Versions, newest first. Archived ones are left out unless `archived=true` or a `state` asks for them."""
        del request, name
        return self.page_of(self.filter_queryset(self.get_queryset()))

    @extend_schema(
        operation_id="uploadVersion",
        summary="Upload a version",
        tags=TAGS,
        request={"multipart/form-data": UploadSerializer},
        parameters=[ETAG],
        responses={201: VersionDetailSerializer, **problems(400, 404, 409, 411, 413, 415, 422, 507)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Store an artifact as a new version and begin its validation.

        The format is decided from the content. Follow `state` and `steps` of the answer's Location: validation ends
        in `ready` or `failed` with the reason. A model that has no default takes the lowest number that becomes ready,
        once no lower one is still being validated.
        """
        model = find_model(name)
        values = validated(UploadSerializer(data=form_values(request.data)))
        version = services.create_version(actor=actor_of(request), model=model, **values)
        location = reverse("api:version", kwargs={"name": name, "number": version.number})
        return version_answer(name, version.number, status.HTTP_201_CREATED, location)


class VersionView(ApiView):
    """One version."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({FOR_GOOD.name})

    @extend_schema(
        operation_id="getVersion",
        summary="Read a version",
        tags=TAGS,
        parameters=[ETAG],
        responses={200: VersionDetailSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str, number: int) -> Response:
        """The version with its validation steps and live state."""
        del request
        return version_answer(name, number)

    @extend_schema(
        operation_id="updateVersion",
        summary="Change a version's notes or keep it loaded",
        tags=TAGS,
        parameters=[IF_MATCH, ETAG],
        request=VersionChangeSerializer,
        responses={200: VersionDetailSerializer, **problems(400, 404, 409, 412)},
    )
    def patch(self, request: Request, name: str, number: int) -> Response:
        """Set the given fields."""
        version = find_version(name, number)
        expected = expected_revision(request, version.revision)
        values = validated(VersionChangeSerializer(data=request.data))
        actor = actor_of(request)
        with transaction.atomic():
            if "notes" in values:
                version = services.update_version(
                    actor=actor, version=version, expected_revision=expected, notes=values["notes"]
                )
                expected = version.revision
            if "keep_loaded" in values:
                services.set_keep_loaded(
                    actor=actor, version=version, expected_revision=expected, keep=values["keep_loaded"]
                )
        return version_answer(name, number)

    @extend_schema(
        operation_id="deleteVersion",
        summary="Delete a version",
        tags=TAGS,
        parameters=[IF_MATCH, FOR_GOOD],
        responses={204: None, **problems(404, 409, 412)},
    )
    def delete(self, request: Request, name: str, number: int) -> Response:
        """Delete a version that serves nothing. It is kept for a while (`?deleted=true` lists it)."""
        if for_good(request):
            deletions.remove_version(actor=actor_of(request), version=find_deleted_version(name, number))
            return deleted()
        version = find_version(name, number)
        expected = expected_revision(request, version.revision)
        deletions.delete_version(actor=actor_of(request), version=version, expected_revision=expected)
        return deleted()


class PromotionUnderWaySerializer(VersionDetailSerializer):
    """A version that is the default and does not serve yet."""

    under_way = serializers.CharField(help_text="How it stands.", read_only=True)

    class Meta(VersionDetailSerializer.Meta):
        fields = (*VersionDetailSerializer.Meta.fields, "under_way")
        read_only_fields = fields


class _ActionView(ApiView):
    """A change of a version's state by POST without a body."""

    permission_classes = (ReadOrStaff,)
    parser_classes = (BoundedJSONParser,)

    def _act(self, request: Request, name: str, number: int, service: Callable[..., Any]) -> Response:
        validated(StrictSerializer(data=request.data))
        version = find_version(name, number)
        expected = expected_revision(request, version.revision)
        service(actor=actor_of(request), version=version, expected_revision=expected)
        return version_answer(name, number)


def _documented(operation: str, summary: str) -> Callable[[Any], Any]:
    responses = {200: VersionDetailSerializer, **problems(400, 404, 409, 412)}
    return extend_schema(
        operation_id=operation,
        summary=summary,
        tags=TAGS,
        request=None,
        parameters=[IF_MATCH, ETAG],
        responses=responses,
    )


class PromoteView(_ActionView):
    """Promote."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="promoteVersion",
        summary="Make a version the default",
        tags=TAGS,
        request=None,
        parameters=[IF_MATCH, ETAG, PREFER_WAIT],
        responses={200: VersionDetailSerializer, 202: PromotionUnderWaySerializer, **problems(400, 404, 409, 412)},
    )
    def post(self, request: Request, name: str, number: int) -> Response:
        """Route calls that name no version to this one, as soon as its instances are ready.

        If they are (it was kept loaded or warm), calls that are sent after this answer are not met by the old one. If
        it must load first, `Prefer: wait=30` has the same of a 200; a 202 says that the version before answers still.
        """
        answer = self._act(request, name, number, services.promote)
        gateway.wait_until_applied(current_generation())
        wait_s = preferred_wait_s(request)
        if wait_s is None:
            return answer
        if not gateway.wait_until_serving(name, number, wait_s):
            answer.status_code = status.HTTP_202_ACCEPTED
            answer.data = {**answer.data, "under_way": _under_way(name, number)}
        answer.headers["Preference-Applied"] = f"wait={wait_s}"
        return answer


def _under_way(name: str, number: int) -> str:
    """Why a promoted version does not serve yet."""
    report = gateway.latest_report()
    known = [v for v in (report.versions if report else ()) if (v.model, v.version) == (name, number)]
    if not known:
        return _("It does not serve yet; the data plane has not taken it up.")
    words = {"state": known[0].state, "message": known[0].message}
    return (_("It does not serve yet; it is %(state)s. %(message)s") % words).strip()


class ArchiveView(_ActionView):
    """Archive."""

    permission_classes = (ReadOrStaff,)

    @_documented("archiveVersion", "Archive a version")
    def post(self, request: Request, name: str, number: int) -> Response:
        """Take a version that is not the default out of use; its file is kept."""
        return self._act(request, name, number, services.archive)


class RestoreView(_ActionView):
    """Restore."""

    permission_classes = (ReadOrStaff,)

    @_documented("restoreVersion", "Restore a deleted or archived version")
    def post(self, request: Request, name: str, number: int) -> Response:
        """Bring a deleted version back as it was; else make an archived one ready again. Neither takes traffic yet."""
        if not deleted_versions(name).filter(number=number).exists():
            return self._act(request, name, number, services.restore)
        validated(StrictSerializer(data=request.data))
        deletions.restore_version(actor=actor_of(request), version=find_deleted_version(name, number))
        return version_answer(name, number)


class ValidateView(_ActionView):
    """Validate again."""

    permission_classes = (ReadOrStaff,)

    @_documented("validateVersion", "Validate a version again")
    def post(self, request: Request, name: str, number: int) -> Response:
        """Begin a failed version's validation anew."""
        return self._act(request, name, number, services.revalidate)


def version_answer(
    name: str, number: int, status_code: int = status.HTTP_200_OK, location: str | None = None
) -> Response:
    """The version as it stands now."""
    version = find_version(name, number)
    return shown(VersionDetailSerializer(version).data, version.revision, status_code=status_code, location=location)
