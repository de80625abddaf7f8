"""What the routes of models and versions share about deletion: parameters, and until when a deleted thing is kept."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from rest_framework import serializers

from models_admin.selectors.deleted import kept_until

if TYPE_CHECKING:
    from rest_framework.request import Request

DELETED = OpenApiParameter(
    "deleted", OpenApiTypes.BOOL, description="true: those that were deleted and can still be restored, and no other."
)
ARCHIVED = OpenApiParameter("archived", OpenApiTypes.BOOL, description="true: archived versions, too.")
FOR_GOOD = OpenApiParameter(
    "for_good",
    OpenApiTypes.BOOL,
    description="true: remove what was deleted before, with its files. There is no way back.",
)


def true_in(request: Request, parameter: OpenApiParameter) -> bool:
    """Whether a flag of the query is set; ValidationError for a word that is neither true nor false."""
    word = request.query_params.get(parameter.name, "false")
    if word not in ("true", "false"):
        raise serializers.ValidationError({parameter.name: ["Give true or false."]})
    return word == "true"


def wants_deleted(request: Request) -> bool:
    """Whether the deleted things are asked for."""
    return true_in(request, DELETED)


def for_good(request: Request) -> bool:
    """Whether a deletion is to be without a way back."""
    return true_in(request, FOR_GOOD)


@extend_schema_field(OpenApiTypes.DATETIME)
class KeptUntilField(serializers.ReadOnlyField):
    """When a deleted thing is removed for good; null for one that is not deleted."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="deleted_at", **kwargs)

    def to_representation(self, value: datetime) -> datetime:
        """The time."""
        return kept_until(value)
