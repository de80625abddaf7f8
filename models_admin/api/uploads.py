"""The upload form's fields. The file itself was streamed to disk by the parser and is moved by the service."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from models_admin.api.fields import (
    FormTrueOrFalse,
    FormWholeNumber,
    JsonText,
    StrictSerializer,
)

MAX_VERSION_NUMBER = 999_999_999
MAX_JSON_CHARACTERS = 65_536
MAX_NOTES_CHARACTERS = 4_000


@extend_schema_field(OpenApiTypes.BINARY)
class ArtifactField(serializers.FileField):
    """The artifact."""


@extend_schema_field(OpenApiTypes.BOOL)
class FormFlag(FormTrueOrFalse):
    """A flag of the form."""


class UploadSerializer(StrictSerializer):
    """An artifact and how it is to be run."""

    file = ArtifactField(max_length=255, help_text="TorchScript, torch.export (.pt2), safetensors or ONNX.")
    sha256 = serializers.RegexField(
        r"^[0-9A-Fa-f]{64}\Z",
        required=False,
        error_messages={"invalid": "Give 64 hexadecimal digits."},
        help_text="Refused with 422 if the file's digest is another.",
    )
    declared_signature = JsonText(
        required=False,
        allow_blank=True,
        max_length=MAX_JSON_CHARACTERS,
        help_text='JSON {"inputs": [{"name", "datatype", "shape"}], "outputs": [...]}. Needed where the file has none.',
    )
    options = JsonText(
        required=False,
        allow_blank=True,
        max_length=MAX_JSON_CHARACTERS,
        help_text="JSON: method, reset_method, architecture.",
    )
    batchable = FormFlag(required=False, help_text="Rows of several requests may share one execution. Default true.")
    stateful = FormFlag(required=False, help_text="Keeps state between calls. Default false.")
    cacheable = FormFlag(required=False, help_text="The same input always gives the same output. Default true.")
    inherit_golden = FormFlag(
        required=False,
        help_text="Must reproduce the default version's golden samples if the signatures are the same. Default true.",
    )
    notes = serializers.CharField(required=False, allow_blank=True, max_length=MAX_NOTES_CHARACTERS)
    number = FormWholeNumber(
        required=False, min_value=1, max_value=MAX_VERSION_NUMBER, help_text="Default: one more than the newest."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The service's own arguments: the name that the client gave goes along for display."""
        attrs["filename"] = attrs["file"].name
        if "sha256" in attrs:
            attrs["sha256"] = attrs["sha256"].lower()
        return attrs
