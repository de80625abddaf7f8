"""How a new version meets traffic: labels, golden samples, and the rollouts that run or ran."""

from __future__ import annotations

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy

from models_admin.models.registry import Model, ModelVersion
from proxy.core.words import parts_of

MAX_LABEL_CHARACTERS = 40
# Begins with a letter, so that no label is a number; no dot or slash, so that it stands in a path as it is.
LABEL_PATTERN = rf"[a-z][a-z0-9_-]{{0,{MAX_LABEL_CHARACTERS - 1}}}"


class VersionLabel(models.Model):
    """A name that stands in URLs where a version's number may. It points at one version."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="labels")
    name = models.CharField(max_length=MAX_LABEL_CHARACTERS)
    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="labels")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["model", "name"], name="unique_label")]

    def __str__(self) -> str:
        return f"{self.model.name}/{self.name}"


class GoldenSource(models.TextChoices):
    """Where a golden sample's outputs come from."""

    UPLOAD = "upload", gettext_lazy("Uploaded")
    RECORDED = "recorded", gettext_lazy("Recorded from a live answer")


class GoldenSample(models.Model):
    """Inputs and the outputs that the version must reproduce: lists of V2 tensors, flat, in the signature's order."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="golden_samples")
    inputs = models.JSONField()
    outputs = models.JSONField()
    rtol = models.FloatField(default=1e-3, help_text=gettext_lazy("Part of |expected| that an output may be off by."))
    atol = models.FloatField(default=1e-5, help_text=gettext_lazy("What an output may be off by besides."))
    source = models.CharField(max_length=8, choices=GoldenSource.choices, default=GoldenSource.UPLOAD)
    created_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.version} golden {self.pk}"


class RolloutModeChoice(models.TextChoices):
    """How the candidate meets traffic (values are those of proxy.core.snapshot.RolloutMode)."""

    CANARY = "canary", gettext_lazy("Canary")
    SHADOW = "shadow", gettext_lazy("Shadow")


class RolloutState(models.TextChoices):
    """Where a rollout stands. Legal order: running ⇄ holding → promoted | aborted | cancelled."""

    RUNNING = "running", gettext_lazy("Running")
    HOLDING = "holding", gettext_lazy("Held")
    PROMOTED = "promoted", gettext_lazy("Promoted")
    ABORTED = "aborted", gettext_lazy("Aborted")
    CANCELLED = "cancelled", gettext_lazy("Cancelled")


ACTIVE_STATES = (RolloutState.RUNNING, RolloutState.HOLDING)


class Rollout(models.Model):
    """A candidate on its way to be the default version.

    `steps` are {"weight_percent", "hold_s"} in order; `evidence` has the numbers of the last look, those of a shadow
    among them; `reason` says in words why it stands where it stands (set by `put`). `revision` is the ETag.
    """

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="rollouts")
    candidate = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="rollouts")
    mode = models.CharField(max_length=8, choices=RolloutModeChoice.choices, default=RolloutModeChoice.CANARY)
    state = models.CharField(max_length=10, choices=RolloutState.choices, default=RolloutState.RUNNING)
    step_index = models.PositiveSmallIntegerField(default=0)
    steps = models.JSONField()
    step_started_at = models.DateTimeField()
    max_error_percent = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=gettext_lazy(
            "Percentage points by which the candidate may fail more often than the default version."
        ),
    )
    max_p99_ratio = models.FloatField(
        default=2.0,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=gettext_lazy("How many times the default version's p99 the candidate's may be."),
    )
    max_differing_percent = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=gettext_lazy("Part of a shadow's answers that may differ beyond the tolerance."),
    )
    tolerance = models.FloatField(
        default=1e-3,
        validators=[MinValueValidator(0), MaxValueValidator(1_000)],
        help_text=gettext_lazy("Largest |difference| / (1 + |expected|) at which two answers count as the same."),
    )
    instances = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(64)],
        help_text=gettext_lazy("Instances of the candidate."),
    )
    reason = models.TextField(blank=True)
    said = models.JSONField(
        default=list,
        blank=True,
        help_text=gettext_lazy("What the reason's words are made of, to say them in any language."),
    )
    started_by = models.CharField(max_length=200, blank=True)
    fence = models.PositiveBigIntegerField(
        default=0, help_text=gettext_lazy("Lease number of its last automatic writer.")
    )
    revision = models.PositiveBigIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    evidence = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["model"], condition=models.Q(state__in=ACTIVE_STATES), name="one_rollout_per_model"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model.name} rollout {self.pk}"

    @staticmethod
    def told(reason: str) -> dict[str, Any]:
        """The columns that keep `reason`: its words, and what they are made of (proxy.core.words)."""
        return {"reason": str(reason), "said": parts_of(reason)}

    def put(self, reason: str) -> None:
        """Set `reason`."""
        for column, value in self.told(reason).items():
            setattr(self, column, value)

    @property
    def is_active(self) -> bool:
        """True while it runs or is held."""
        return self.state in ACTIVE_STATES

    @property
    def weight_percent(self) -> float:
        """Share of the traffic in the present step."""
        return float(self.steps[self.step_index]["weight_percent"])
