"""Reads of models and versions. A missing thing raises its DoesNotExist (a 404 for API and pages)."""

from __future__ import annotations

from django.db.models import Count, Prefetch, QuerySet

from models_admin.models import Model, ModelVersion, ValidationStep


def models_overview() -> QuerySet[Model]:
    """Every model by name, with its default version, policy, scaling state and `version_count`."""
    return (
        Model.objects.select_related("default_version", "policy", "scaling")
        .annotate(version_count=Count("versions"))
        .order_by("name")
    )


def models_listed() -> QuerySet[Model]:
    """Every model by name with what tells how it stands and nothing more: for lists of thousands."""
    only = ("name", "loaded", "default_version__number")
    return Model.objects.select_related("default_version").only(*only).order_by("name")


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
