"""Celery tasks: thin. Each looks in the database for what is due, so that a lost or repeated message does no harm."""

from models_admin.tasks import housekeeping, rollout, scaling, tuning, validation

__all__ = ["housekeeping", "rollout", "scaling", "tuning", "validation"]
