"""What the control loop wants and why, who holds its lease, and the heartbeats of each process."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy

from models_admin.models.registry import Model
from proxy.core.words import parts_of


class ScalingState(models.Model):
    """The wanted number of instances of a model's default version. `fence` is the lease number of its last writer."""

    model = models.OneToOneField(Model, on_delete=models.CASCADE, related_name="scaling")
    wanted_instances = models.PositiveIntegerField(default=1)
    fence = models.PositiveBigIntegerField(default=0)
    low_since = models.DateTimeField(null=True, blank=True, help_text=gettext_lazy("Since when load has been low."))
    decided_at = models.DateTimeField(null=True, blank=True)
    last_request_at = models.DateTimeField(
        null=True, blank=True, help_text=gettext_lazy("The newest request known of.")
    )
    signals = models.JSONField(
        default=dict,
        blank=True,
        help_text=gettext_lazy("The last look: what each signal asked for, in numbers and words, and what came of it."),
    )

    def __str__(self) -> str:
        return f"{self.model}: {self.wanted_instances}"


class DecisionStatus(models.TextChoices):
    """How far a decision has come. APPLIED: in force at once and for good, as people's changes and scaling's are."""

    APPLIED = "applied", gettext_lazy("Applied")
    ADVISED = "advised", gettext_lazy("Proposed")
    MEASURING = "measuring", gettext_lazy("Being measured")
    KEPT = "kept", gettext_lazy("Kept")
    UNDONE = "undone", gettext_lazy("Undone")
    INCONCLUSIVE = "inconclusive", gettext_lazy("Undone: nothing to conclude")
    DISMISSED = "dismissed", gettext_lazy("Dismissed")
    EXPIRED = "expired", gettext_lazy("No longer true")


class Decision(models.Model):
    """One change of one knob, with its reason and the numbers it was taken on.

    Tuning's are first tried: `predicted` says before what they will change, `measured` holds the windows before and
    after, `outcome` what came of it in words.
    """

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="decisions")
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    knob = models.CharField(max_length=40)
    from_value = models.CharField(max_length=60)
    to_value = models.CharField(max_length=60)
    reason = models.CharField(max_length=60, help_text=gettext_lazy("One of proxy.tuner's reasons, or `operator`."))
    explanation = models.TextField(help_text=gettext_lazy("The reason in words, with numbers."))
    expected = models.TextField(blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    actor = models.CharField(max_length=200, default="system:autoscaler")
    fence = models.PositiveBigIntegerField(default=0)
    status = models.CharField(max_length=12, choices=DecisionStatus.choices, default=DecisionStatus.APPLIED)
    predicted = models.JSONField(
        default=dict,
        blank=True,
        help_text=gettext_lazy("{metric, before, after, better}: what the change is expected to move."),
    )
    measured = models.JSONField(
        default=dict,
        blank=True,
        help_text=gettext_lazy("{before, after}: what was measured over two windows of equal length."),
    )
    outcome = models.TextField(blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    said = models.JSONField(
        default=dict,
        blank=True,
        help_text=gettext_lazy(
            "{explanation, expected, outcome: what the words are made of}, to say them in any language."
        ),
    )
    undoes = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="undone_by")

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["model", "status"], name="decision_model_status")]

    def __str__(self) -> str:
        return f"{self.model}: {self.knob} {self.from_value} → {self.to_value}"

    def put(self, **words: str) -> Decision:
        """Set `explanation`, `expected` or `outcome`, and keep what the words are made of (proxy.core.words)."""
        for name, text in words.items():
            setattr(self, name, str(text))
        self.said = {**self.said, **{name: parts_of(text) for name, text in words.items()}}
        return self


class TuningState(models.Model):
    """What tuning of a model is at. `fence` is the lease number of its last writer."""

    model = models.OneToOneField(Model, on_delete=models.CASCADE, related_name="tuning")
    fence = models.PositiveBigIntegerField(default=0)
    trial = models.ForeignKey(
        Decision,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=gettext_lazy("The one being measured."),
    )
    cooldown_until = models.DateTimeField(null=True, blank=True)
    tried = models.JSONField(
        default=list,
        blank=True,
        help_text=gettext_lazy("What was tried at which load and what came of it, newest last."),
    )
    look = models.JSONField(
        default=dict,
        blank=True,
        help_text=gettext_lazy("The last look: when, in words why nothing or what was done, by knob."),
    )

    def __str__(self) -> str:
        return f"tuning of {self.model}"


class TuningSwitch(models.Model):
    """One row: whether all tuning stands still, and who said so."""

    name = models.CharField(max_length=20, primary_key=True, default="all")
    frozen = models.BooleanField(default=False)
    changed_by = models.CharField(max_length=200, blank=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "tuning switches"

    def __str__(self) -> str:
        return "frozen" if self.frozen else "running"


class ControlLease(models.Model):
    """Who may decide now. `fence` rises with each new holder, so a stale holder's write is refused."""

    name = models.CharField(max_length=40, primary_key=True)
    holder = models.CharField(max_length=120)
    fence = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"


class NodeStatus(models.Model):
    """Heartbeat of one part (`web`, `celery`, `beat`) with what it reports of itself."""

    name = models.CharField(max_length=60, primary_key=True)
    at = models.DateTimeField()
    info = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "node statuses"

    def __str__(self) -> str:
        return self.name


class ConfigurationGeneration(models.Model):
    """How often the wanted state has changed: one row, raised within each change that the data plane must see."""

    name = models.CharField(max_length=20, primary_key=True, default="wanted")
    number = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.number}"
