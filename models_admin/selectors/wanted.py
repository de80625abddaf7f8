"""Which versions the data plane is to hold ready, whatever they are wanted for."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from models_admin.models import Model, ModelVersion, Rollout, VersionLabel
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import ACTIVE_STATES


def wanted_versions() -> QuerySet[Any, Any]:
    """Ready versions of all models that are kept loaded, warm, default, labelled, candidates or among the newest kept.

    A model that is unloaded has its versions here, too; none of them is held then.
    """
    return ModelVersion.objects.filter(state=VersionState.READY).filter(
        Q(keep_loaded=True)
        | Q(warm_until__isnull=False)
        | Q(pk__in=Model.objects.exclude(default_version=None).values("default_version"))
        | Q(pk__in=VersionLabel.objects.values("version"))
        | Q(pk__in=Rollout.objects.filter(state__in=ACTIVE_STATES).values("candidate"))
        | Q(pk__in=_newest())
    )


def _newest() -> QuerySet[Any, Any]:
    """The newest ready versions of the models whose policies keep some loaded."""
    place = Window(RowNumber(), partition_by=F("model_id"), order_by=F("number").desc())
    ready = ModelVersion.objects.filter(state=VersionState.READY, model__policy__keep_latest__gt=0)
    return ready.annotate(place=place).filter(place__lte=F("model__policy__keep_latest")).values("pk")
