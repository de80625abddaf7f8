"""/models/{name}/cache and /cache: what a cache holds and saves, and dropping cached answers."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, deleted, validated
from models_admin.api.cache_reports import CacheAnswerSerializer, content_of
from models_admin.api.fields import FormWholeNumber, StrictSerializer
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model, find_version
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.selectors.cache_reports import cache_report
from models_admin.services import caching as services


class PurgeSerializer(StrictSerializer):
    """Which answers go."""

    version = FormWholeNumber(
        required=False, min_value=1, help_text="Only the answers of this version's artifact. Default: of all versions."
    )


class CacheView(ApiView):
    """A model's cached answers."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({"version"})

    def known_parameters(self) -> frozenset[str]:
        """Only dropping takes one."""
        return super().known_parameters() if self.request.method == "DELETE" else frozenset()

    @extend_schema(
        operation_id="getCache",
        summary="Read what a model's cache holds and saves",
        tags=["models"],
        responses={200: CacheAnswerSerializer, **problems(404)},
    )
    def get(self, request: Request, name: str) -> Response:
        """The report of the last second with the miss-ratio curve; null where there was none lately."""
        del request
        report = cache_report(find_model(name).name, timezone.now())
        return Response(CacheAnswerSerializer({"report": None if report is None else content_of(report)}).data)

    @extend_schema(
        operation_id="purgeCache",
        summary="Drop a model's cached answers",
        tags=["models"],
        parameters=[PurgeSerializer],
        responses={204: None, **problems(400, 404, 503)},
    )
    def delete(self, request: Request, name: str) -> Response:
        """The model's cached answers, or those of one version, are forgotten; the next calls are executed.

        A shared second level tells no versions apart: of whatever version, it forgets all of the model's.
        """
        number = validated(PurgeSerializer(data=request.query_params.dict())).get("version")
        model = find_model(name)
        version = None if number is None else find_version(name, number)
        services.purge_cache(actor=actor_of(request), model=model, version=version)
        return deleted()


class CachesView(ApiView):
    """The cached answers of all models."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="purgeCaches",
        summary="Drop the cached answers of all models",
        tags=["models"],
        responses={204: None, **problems(503)},
    )
    def delete(self, request: Request) -> Response:
        """Every cached answer of every model is forgotten; the next calls are executed."""
        services.purge_cache(actor=actor_of(request), model=None)
        return deleted()
