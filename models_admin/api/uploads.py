"""What an upload declares: the fields of the form, and the metadata of an upload in pieces."""

from __future__ import annotations

from datetime import datetime
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
from models_admin.models import Upload
from models_admin.selectors.uploads import expires_at, received_bytes

MAX_VERSION_NUMBER = 999_999_999
MAX_JSON_CHARACTERS = 65_536
MAX_NOTES_CHARACTERS = 4_000
MAX_FILENAME_CHARACTERS = 255
STATES = ("receiving", "received", "done", "refused")


@extend_schema_field(OpenApiTypes.BINARY)
class ArtifactField(serializers.FileField):
    """The artifact."""


@extend_schema_field(OpenApiTypes.BOOL)
class FormFlag(FormTrueOrFalse):
    """A flag of the form."""


class DeclaredSerializer(StrictSerializer):
    """How an artifact is to be run."""

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
        """The service's own arguments."""
        if "sha256" in attrs:
            attrs["sha256"] = attrs["sha256"].lower()
        return attrs


class UploadSerializer(DeclaredSerializer):
    """An artifact and how it is to be run. The parser streamed the file to disk; the service moves it."""

    file = ArtifactField(max_length=255, help_text="TorchScript, torch.export (.pt2), safetensors or ONNX.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The service's own arguments: the name that the client gave goes along for display."""
        return super().validate({**attrs, "filename": attrs["file"].name})


class MetadataSerializer(DeclaredSerializer):
    """`Upload-Metadata`: a file's name beside how it is to be run."""

    filename = serializers.CharField(
        required=False, allow_blank=True, max_length=MAX_FILENAME_CHARACTERS, help_text="For display only."
    )
    filetype = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MAX_FILENAME_CHARACTERS,
        help_text="Many clients send it; the content alone decides.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The service's own arguments."""
        attrs.pop("filetype", None)
        return super().validate(attrs)


class RefusalSerializer(serializers.Serializer[Any]):
    """Why a file became no version."""

    status = serializers.IntegerField(help_text="Of the answer to the last piece.")
    code = serializers.CharField()
    message = serializers.CharField()
    field = serializers.CharField(allow_null=True)


@extend_schema_field(RefusalSerializer(allow_null=True))
class RefusalField(serializers.JSONField):
    """A refusal as it is stored."""


class ResumableSerializer(serializers.ModelSerializer[Upload]):
    """An upload in pieces."""

    model = serializers.CharField(source="model.name")
    filename = serializers.SerializerMethodField()
    sha256 = serializers.SerializerMethodField(help_text="As declared; null if it was not.")
    offset_bytes = serializers.SerializerMethodField(help_text="How many bytes are here.")
    state = serializers.SerializerMethodField()
    version = serializers.IntegerField(source="version.number", default=None, allow_null=True)
    refusal = RefusalField(allow_null=True)
    expires_at = serializers.SerializerMethodField()

    class Meta:
        model = Upload
        fields = (
            "id",
            "model",
            "filename",
            "sha256",
            "size_bytes",
            "offset_bytes",
            "state",
            "version",
            "refusal",
            "created_at",
            "expires_at",
        )
        read_only_fields = fields

    def get_filename(self, upload: Upload) -> str:
        """As the client named it."""
        return str(upload.declared.get("filename", ""))

    def get_sha256(self, upload: Upload) -> str | None:
        """In lower case."""
        digest: str | None = upload.declared.get("sha256")
        return digest

    def get_offset_bytes(self, upload: Upload) -> int:
        """Where the next piece begins."""
        return received_bytes(upload)

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, upload: Upload) -> str:
        """`received`: all bytes are here; a piece of no bytes makes the version."""
        if upload.refusal is not None:
            return "refused"
        if upload.ended_at is not None:
            return "done"
        return "received" if received_bytes(upload) == upload.size_bytes else "receiving"

    def get_expires_at(self, upload: Upload) -> datetime:
        """It is forgotten then."""
        return expires_at(upload)
