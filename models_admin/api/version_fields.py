"""How a version and its validation are shown."""

from __future__ import annotations

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from models_admin.api.deletion import KeptUntilField
from models_admin.api.fields import OptionsSerializer, SignatureSerializer
from models_admin.api.live import LiveVersionField
from models_admin.models import ModelVersion, ValidationStep
from proxy.core.words import parts_of, readable


@extend_schema_field(SignatureSerializer(allow_null=True))
class SignatureField(serializers.JSONField):
    """A signature as it is stored."""


@extend_schema_field(OptionsSerializer)
class OptionsField(serializers.JSONField):
    """Options as they are stored."""


class StepSerializer(serializers.ModelSerializer[ValidationStep]):
    """One step of a validation."""

    measurements = serializers.DictField(help_text="Numbers that the step found, by name with unit.")

    class Meta:
        model = ValidationStep
        fields = ("name", "status", "message", "measurements", "started_at", "finished_at")
        read_only_fields = fields


class VersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A version in a list."""

    model = serializers.CharField(source="model.name")
    is_default = serializers.SerializerMethodField()
    options = OptionsField()
    declared_signature = SignatureField(allow_null=True)
    signature = SignatureField(allow_null=True)
    live = LiveVersionField()
    kept_until = KeptUntilField()

    class Meta:
        model = ModelVersion
        fields = (
            "model",
            "number",
            "is_default",
            "state",
            "state_reason",
            "quarantined_reason",
            "state_changed_at",
            "format",
            "size_bytes",
            "digest",
            "original_filename",
            "options",
            "declared_signature",
            "signature",
            "batchable",
            "stateful",
            "cacheable",
            "keep_loaded",
            "load_time_ms",
            "sample_latency_ms",
            "memory_bytes",
            "notes",
            "uploaded_by",
            "live",
            "revision",
            "created_at",
            "deleted_at",
            "deleted_by",
            "kept_until",
        )
        read_only_fields = fields

    def get_is_default(self, version: ModelVersion) -> bool:
        """Whether calls that name no version go here."""
        return version.model.default_version_id == version.pk


class VersionDetailSerializer(VersionSerializer):
    """A version with its validation steps."""

    steps = StepSerializer(many=True)
    state_words = serializers.SerializerMethodField(
        help_text="`state_reason` in the language that the request asks for (`Accept-Language`), where it is known."
    )

    class Meta(VersionSerializer.Meta):
        fields = (*VersionSerializer.Meta.fields, "steps", "state_words")
        read_only_fields = fields

    def get_state_words(self, version: ModelVersion) -> str:
        """What the pages show."""
        return readable(version.state_said or parts_of(version.state_reason), _, version.state_reason)
