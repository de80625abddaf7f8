"""Finding what a path names, or a 404 that says what is missing. Path parts are bounded before they reach a query."""

from __future__ import annotations

from models_admin import selectors
from models_admin.models import ApiKey, Model, ModelVersion
from models_admin.services.errors import NotFound


class ModelName:
    """A model's name in a path (the pattern of models_admin.models.registry, without its anchors)."""

    regex = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?"

    def to_python(self, value: str) -> str:
        """The name."""
        return value

    def to_url(self, value: str) -> str:
        """The name."""
        return value


class Number:
    """A version's number or a row's id in a path: at most nine digits, so that no query overflows."""

    regex = r"[1-9][0-9]{0,8}"

    def to_python(self, value: str) -> int:
        """The number."""
        return int(value)

    def to_url(self, value: int) -> str:
        """The digits."""
        return str(value)


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
