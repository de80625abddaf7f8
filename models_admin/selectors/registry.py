"""Reads of models and versions. A missing thing raises its DoesNotExist (a 404 for API and pages)."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from django.db.models import Count, Prefetch, Q, QuerySet

from models_admin.models import Model, ModelVersion, ValidationStep


def models_overview() -> QuerySet[Model]:
    """Every model by name, with its default version, policy, scaling state and `version_count`."""
    return (
        Model.objects.select_related("default_version", "policy", "scaling")
        .annotate(version_count=Count("versions", filter=Q(versions__deleted_at=None)))
        .order_by("name")
    )


class Listed(NamedTuple):
    """What tells how a model stands and nothing more; `default_number` is None without a default version."""

    pk: int
    name: str
    loaded: bool
    default_number: int | None


def models_listed() -> list[Listed]:
    """Every model by name: for lists of thousands, where an object of Django each would take most of the time."""
    fields = ("pk", "name", "loaded", "default_version__number")
    return [Listed(*row) for row in Model.objects.order_by("name").values_list(*fields)]


def targets_and_counts(keys: Collection[int]) -> dict[int, tuple[int, int, int]]:
    """By model's key: the policy's latency target in ms (0: none), its quantile, and how many versions there are."""
    fields = ("pk", "policy__latency_target_ms", "policy__latency_quantile")
    models = Model.objects.filter(pk__in=keys).values_list(*fields)
    versions = ModelVersion.objects.filter(model__in=keys).values_list("model").annotate(Count("pk")).order_by()
    counts = dict(versions)
    return {key: (target_ms, quantile, counts.get(key, 0)) for key, target_ms, quantile in models}


def model_detail(name: str) -> Model:
    """One model with its versions (newest first) and their validation steps fetched."""
    versions = ModelVersion.objects.order_by("-number").prefetch_related("steps")
    return models_overview().prefetch_related(Prefetch("versions", queryset=versions)).get(name=name)


def version(model_name: str, number: int) -> ModelVersion:
    """One version with its model and validation steps fetched."""
    steps = ValidationStep.objects.order_by("position")
    return (
        ModelVersion.objects.select_related("model", "model__default_version")
        .prefetch_related(Prefetch("steps", queryset=steps))
        .get(model__name=model_name, number=number)
    )


def versions(model_name: str) -> QuerySet[ModelVersion]:
    """Every version of one model, newest first."""
    return ModelVersion.objects.select_related("model").filter(model__name=model_name).order_by("-number")
