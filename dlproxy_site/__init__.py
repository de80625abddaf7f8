"""Puts the two planes together: ASGI, URLs, settings, Celery."""

from dlproxy_site.celery import app as celery_app

__all__ = ["celery_app"]
