"""/models/{name}/cache: dropping cached answers."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, deleted
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.services import caching as services


class CacheView(ApiView):
    """A model's cached answers."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="purgeCache",
        summary="Drop a model's cached answers",
        tags=["models"],
        responses={204: None, **problems(404, 503)},
    )
    def delete(self, request: Request, name: str) -> Response:
        """Every cached answer of the model is forgotten; the next calls are executed."""
        services.purge_cache(actor=actor_of(request), model=find_model(name))
        return deleted()
