"""Finding what a path names, or a 404 that says what is missing."""

from __future__ import annotations

from models_admin import selectors
from models_admin.models import ApiKey, Model, ModelVersion
from models_admin.services.errors import NotFound


def find_model(name: str) -> Model:
    """The model with everything that its answer shows."""
    try:
        return selectors.models_overview().get(name=name)
    except Model.DoesNotExist:
        raise NotFound(f"There is no model named {name}.") from None


def find_version(name: str, number: int) -> ModelVersion:
    """The version with its steps."""
    try:
        return selectors.version(name, number)
    except ModelVersion.DoesNotExist:
        raise NotFound(f"Model {name} has no version {number}, or there is no such model.") from None


def find_key(key_id: int) -> ApiKey:
    """The key."""
    try:
        return selectors.keys().get(pk=key_id)
    except ApiKey.DoesNotExist:
        raise NotFound(f"There is no key {key_id}.") from None
