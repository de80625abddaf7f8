"""Finding what a path names, or a 404 that says what is missing."""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_admin import selectors
from models_admin.models import ApiKey, Model, ModelVersion
from models_admin.services.errors import NotFound


def find_model(name: str) -> Model:
    """The model with everything that its answer shows."""
    try:
        return selectors.models_overview().get(name=name)
    except Model.DoesNotExist:
        raise NotFound(_("There is no model named %(name)s.") % {"name": name}) from None


def find_version(name: str, number: int) -> ModelVersion:
    """The version with its steps."""
    try:
        return selectors.version(name, number)
    except ModelVersion.DoesNotExist:
        raise NotFound(
            _("Model %(name)s has no version %(number)s, or there is no such model.") % {"name": name, "number": number}
        ) from None


def find_key(key_id: int) -> ApiKey:
    """The key."""
    try:
        return selectors.keys().get(pk=key_id)
    except ApiKey.DoesNotExist:
        raise NotFound(_("There is no key %(key_id)s.") % {"key_id": key_id}) from None
