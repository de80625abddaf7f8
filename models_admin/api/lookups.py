"""Finding what a path names, or a 404 that says what is missing."""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_admin import selectors
from models_admin.models import ApiKey, Model, ModelVersion
from models_admin.selectors import deleted
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


def find_deleted_model(name: str) -> Model:
    """A model that was deleted and is still kept."""
    row = deleted.deleted_models().filter(name=name).first()
    if row is None:
        raise NotFound(_("No deleted model named %(name)s is kept.") % {"name": name})
    return row


def find_deleted_version(name: str, number: int) -> ModelVersion:
    """A version that was deleted by itself and is still kept."""
    row = deleted.deleted_versions(find_model(name).name).filter(number=number).first()
    if row is None:
        raise NotFound(_("No deleted version %(number)s of %(name)s is kept.") % {"number": number, "name": name})
    return row


def find_key(key_id: int) -> ApiKey:
    """The key."""
    try:
        return selectors.keys().get(pk=key_id)
    except ApiKey.DoesNotExist:
        raise NotFound(_("There is no key %(key_id)s.") % {"key_id": key_id}) from None
