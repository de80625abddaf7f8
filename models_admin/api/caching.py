"""/models/{name}/cache and /cache: dropping cached answers."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, deleted, validated
from models_admin.api.fields import FormWholeNumber, StrictSerializer
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model, find_version
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
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

    @extend_schema(
        operation_id="purgeCache",
        summary="Drop a model's cached answers",
        tags=["models"],
        parameters=[PurgeSerializer],
        responses={204: None, **problems(400, 404, 503)},
    )
    def delete(self, request: Request, name: str) -> Response:
        """The model's cached answers, or those of one version, are forgotten; the next calls are executed."""
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
