"""Models, their versions, and the steps of each version's validation."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy

MODEL_NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"
# `\Z`, since `$` would let a trailing newline pass.
validate_model_name = RegexValidator(
    MODEL_NAME_PATTERN.removesuffix("$") + r"\Z",
    "Use 1 to 128 letters, digits, dots, hyphens or underscores; begin and end with a letter or digit.",
)


class Kept(models.Manager[Any]):
    """The rows that were not deleted: what lists, pages and the data plane see.

    A deleted row stays for DLPROXY_KEEP_DELETED_H hours (services.deletions), so its name or number is not free;
    whoever counts names, numbers or bytes asks `with_deleted`.
    """

    def get_queryset(self) -> models.QuerySet[Any]:
        """Without the deleted."""
        return super().get_queryset().filter(deleted_at=None)


class Deletable(models.Model):
    """When a row was deleted and by whom; empty for what was not. Versions deleted with their model carry its time."""

    deleted_at = models.DateTimeField(null=True, blank=True, db_index=True, editable=False)
    deleted_by = models.CharField(max_length=200, blank=True, editable=False)

    objects = Kept()
    with_deleted = models.Manager()

    class Meta:
        abstract = True


class Model(Deletable):
    """A named thing that clients call. `revision` rises with each change and is the ETag."""

    name = models.CharField(max_length=128, unique=True, validators=[validate_model_name])
    description = models.TextField(blank=True, max_length=4_000)
    loaded = models.BooleanField(
        default=True,
        help_text=gettext_lazy("Whether instances of the default version are wanted. Off frees their memory."),
    )
    default_version = models.ForeignKey(
        "ModelVersion", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    revision = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ArtifactFormat(models.TextChoices):
    """File formats that a backend can run, decided from the file's content."""

    TORCHSCRIPT = "torchscript", gettext_lazy("TorchScript")
    EXPORTED = "exported", gettext_lazy("torch.export (.pt2)")
    SAFETENSORS = "safetensors", gettext_lazy("safetensors")
    ONNX = "onnx", gettext_lazy("ONNX")


class VersionState(models.TextChoices):
    """Where a version stands. Legal order: uploaded → validating → ready | failed; ready → archived → ready."""

    UPLOADED = "uploaded", gettext_lazy("Uploaded")
    VALIDATING = "validating", gettext_lazy("Validating")
    READY = "ready", gettext_lazy("Ready")
    FAILED = "failed", gettext_lazy("Failed")
    ARCHIVED = "archived", gettext_lazy("Archived")


class ModelVersion(Deletable):
    """An immutable artifact and how it is run.

    `signature` is {"inputs": [{"name", "datatype", "shape"}], "outputs": [...]}, filled by validation;
    `declared_signature` is what the uploader stated, or null.
    """

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    artifact_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    digest = models.CharField(max_length=64, help_text=gettext_lazy("SHA-256 of the artifact, hexadecimal."))
    size_bytes = models.PositiveBigIntegerField()
    format = models.CharField(max_length=16, choices=ArtifactFormat.choices)
    original_filename = models.CharField(max_length=255, blank=True)
    options = models.JSONField(
        default=dict,
        blank=True,
        help_text=gettext_lazy("Strings for the backend: method, reset_method, architecture, sample."),
    )
    declared_signature = models.JSONField(null=True, blank=True)
    signature = models.JSONField(null=True, blank=True)
    batchable = models.BooleanField(
        default=True, help_text=gettext_lazy("Rows of several requests may share one execution.")
    )
    stateful = models.BooleanField(
        default=False, help_text=gettext_lazy("Keeps state between calls; reset before each request.")
    )
    cacheable = models.BooleanField(
        default=True, help_text=gettext_lazy("The same input always gives the same output.")
    )
    keep_loaded = models.BooleanField(
        default=False, help_text=gettext_lazy("Keep one instance even when not the default version.")
    )
    warm_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text=gettext_lazy("Kept loaded until then after it was replaced, so that going back is instant."),
    )
    golden_digest = models.CharField(
        max_length=64,
        blank=True,
        help_text=gettext_lazy("SHA-256 of the golden samples' document; empty without samples."),
    )
    inherit_golden = models.BooleanField(
        default=True,
        help_text=gettext_lazy("Must reproduce the default version's golden samples if the signatures are the same."),
    )
    quarantined_reason = models.TextField(blank=True)
    load_attempt = models.PositiveIntegerField(
        default=0, help_text=gettext_lazy("How often an operator had it started anew.")
    )
    state = models.CharField(max_length=16, choices=VersionState.choices, default=VersionState.UPLOADED)
    state_reason = models.TextField(blank=True)
    state_said = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text=gettext_lazy("What the reason's words are made of, to say them in any language."),
    )
    state_changed_at = models.DateTimeField(auto_now_add=True)
    validation_attempts = models.PositiveSmallIntegerField(default=0, editable=False)
    load_time_ms = models.FloatField(null=True, blank=True)
    sample_latency_ms = models.FloatField(null=True, blank=True)
    memory_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    notes = models.TextField(blank=True, max_length=4_000)
    uploaded_by = models.CharField(max_length=200, blank=True)
    revision = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["model_id", "-number"]
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="unique_version_number")]
        permissions = [("upload_code", "May run model code (TorchScript, torch.export)")]

    def __str__(self) -> str:
        return f"{self.model.name}/{self.number}"


class StepStatus(models.TextChoices):
    """Outcome of one validation step."""

    PENDING = "pending", gettext_lazy("Pending")
    RUNNING = "running", gettext_lazy("Running")
    PASSED = "passed", gettext_lazy("Passed")
    FAILED = "failed", gettext_lazy("Failed")
    SKIPPED = "skipped", gettext_lazy("Skipped")


class ValidationStep(models.Model):
    """One step of a version's validation, shown live."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=40)
    status = models.CharField(max_length=8, choices=StepStatus.choices, default=StepStatus.PENDING)
    message = models.TextField(blank=True)
    said = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text=gettext_lazy("What the message's words are made of, to say them in any language."),
    )
    measurements = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["version_id", "position"]
        constraints = [models.UniqueConstraint(fields=["version", "name"], name="unique_step_name")]

    def __str__(self) -> str:
        return f"{self.version_id}:{self.name}"
