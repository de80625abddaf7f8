"""The control plane as a Django application."""

from __future__ import annotations

from django.apps import AppConfig


class ModelsAdminConfig(AppConfig):
    """Registry, policies, uploads, dashboards and the Celery tasks."""

    name = "models_admin"
    default_auto_field = "django.db.models.BigAutoField"
