"""API keys (hashed) and the audit log."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import CheckConstraint, Q
from django.utils.translation import gettext_lazy

from models_admin.models.registry import Model


class KeyScope(models.TextChoices):
    """What a key opens."""

    INFERENCE = "inference", gettext_lazy("Inference")
    ADMIN = "admin", gettext_lazy("Administration and inference")


class ApiKey(models.Model):
    """A key as the SHA-256 of its 256-bit random secret; the secret itself is shown once and never stored.

    With `all_models` off, inference is allowed on `models` only.
    """

    name = models.CharField(max_length=100)
    prefix = models.CharField(
        max_length=16, db_index=True, help_text=gettext_lazy("First characters, to recognise the key by.")
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=16, choices=KeyScope.choices, default=KeyScope.INFERENCE)
    all_models = models.BooleanField(default=True)
    may_upload_code = models.BooleanField(
        default=False, help_text=gettext_lazy("May upload TorchScript and torch.export files, which carry code.")
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=gettext_lazy(
            "Share of a busy model beside other keys that wait. Larger: served more often while others wait."
        ),
    )
    tenant = models.CharField(
        max_length=64,
        blank=True,
        help_text=gettext_lazy(
            "On whose behalf the key asks. Keys of one tenant may meet each other's cached answers; a key "
            "without one is a tenant by itself."
        ),
    )
    requests_per_s = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(1_000_000)],
        help_text=gettext_lazy(
            "Requests a second that the key may send, with bursts of two seconds' worth. Larger: it may crowd "
            "others more. 0: no limit."
        ),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    made_with = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="made")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    models = models.ManyToManyField(Model, blank=True, related_name="keys")  # last: hides the module from here on

    class Meta:
        ordering = ["-created_at"]
        constraints = [CheckConstraint(condition=Q(weight__range=(1, 100)), name="key_weight")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def administers(self) -> bool:
        """True for an administration key, while the account that made it may administer itself."""
        owner = self.created_by
        return self.scope == KeyScope.ADMIN and (owner is None or owner.is_staff)


class AuditEvent(models.Model):
    """Who did what to which thing. Append-only."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=200, help_text=gettext_lazy("`user:name`, `key:name` or `system:part`."))
    action = models.CharField(
        max_length=60, db_index=True, help_text=gettext_lazy("Dotted verb, such as `version.promote`.")
    )
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=200)
    details = models.JSONField(default=dict, blank=True)
    remote_addr = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_id}"
