"""Uploads in pieces: what was declared of a file whose bytes are still coming in."""

from __future__ import annotations

import uuid

from django.db import models

from models_admin.models.registry import Model, ModelVersion


class Upload(models.Model):
    """A file on its way to become a version. How much of it is here is the size of its file, not a column.

    `owner` is `user:<id>` or `key:<id>`; `declared` holds the arguments of `services.versions.create_version`. An
    upload is open until it ends as `version`, or with `refusal` {"status", "code", "message", "field"}.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="uploads")
    owner = models.CharField(max_length=64, db_index=True)
    size_bytes = models.PositiveBigIntegerField()
    metadata = models.TextField(blank=True)
    declared = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True, db_index=True)
    version = models.ForeignKey(ModelVersion, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    refusal = models.JSONField(null=True, blank=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"{self.model.name}: {self.id}"
