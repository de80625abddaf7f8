"""What the running data plane says of a model or version, for the answers of the registry's routes.

`null` where no data plane runs in this process, or it does not know the thing: an unknown state is not a guess.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from proxy import gateway
from proxy.core.reports import ModelSecond, SecondReport, VersionReport


class LiveVersionSerializer(serializers.Serializer[VersionReport]):
    """A version as the data plane sees it now."""

    version = serializers.IntegerField()
    state = serializers.CharField(
        help_text="checking, loading, warming, verifying, ready, asleep, failed, quarantined, draining or unloaded."
    )
    message = serializers.CharField(help_text="Why, where the state needs a word.")
    ready_instances = serializers.IntegerField(source="instances_ready")
    wanted_instances = serializers.IntegerField(source="instances_wanted")
    restarts = serializers.IntegerField(help_text="Instances replaced since the version was loaded.")
    sandbox = serializers.DictField(
        child=serializers.CharField(), help_text="Which walls stand around the model's code."
    )


class LiveSecondSerializer(serializers.Serializer[ModelSecond]):
    """The last whole second of a model. Percentiles are null where nothing was answered."""

    requests = serializers.IntegerField()
    errors = serializers.IntegerField()
    rejections = serializers.IntegerField()
    inferences = serializers.IntegerField()
    executions = serializers.IntegerField()
    cache_hits = serializers.IntegerField()
    cache_misses = serializers.IntegerField()
    coalesced = serializers.IntegerField(help_text="Answered by the execution of an identical request.")
    cache_bytes = serializers.IntegerField()
    p50_ms = serializers.FloatField(allow_null=True)
    p95_ms = serializers.FloatField(allow_null=True)
    p99_ms = serializers.FloatField(allow_null=True)
    queue_depth = serializers.IntegerField()
    in_flight = serializers.IntegerField()
    busy_ratio = serializers.FloatField()


class LiveModelSerializer(LiveVersionSerializer):
    """The default version's state, and the model's last second."""

    at_unix_s = serializers.IntegerField(help_text="When the second ended.")
    last_second = LiveSecondSerializer(allow_null=True)


def model_now(name: str) -> dict[str, Any] | None:
    """State of the model's default version, else of the newest that the data plane knows."""
    report = gateway.latest_report()
    if report is None:
        return None
    known = [version for version in report.versions if version.model == name]
    if not known:
        return None
    chosen = next((version for version in known if version.is_default), max(known, key=lambda v: v.version))
    second = report.models.get(name)
    return {
        **LiveVersionSerializer(chosen).data,
        "at_unix_s": report.at_unix_s,
        "last_second": LiveSecondSerializer(second).data if second else None,
    }


def version_now(name: str, number: int) -> dict[str, Any] | None:
    """State of one version."""
    report: SecondReport | None = gateway.latest_report()
    for version in report.versions if report else ():
        if version.model == name and version.version == number:
            return dict(LiveVersionSerializer(version).data)
    return None


@extend_schema_field(LiveModelSerializer(allow_null=True))
class LiveModelField(serializers.SerializerMethodField):
    """`live` of a model."""

    def to_representation(self, value: Any) -> Any:
        """The state now."""
        return model_now(value.name)


@extend_schema_field(LiveVersionSerializer(allow_null=True))
class LiveVersionField(serializers.SerializerMethodField):
    """`live` of a version."""

    def to_representation(self, value: Any) -> Any:
        """The state now."""
        return version_now(value.model.name, value.number)
