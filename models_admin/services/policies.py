"""Changes of a model's policy."""

from __future__ import annotations

from typing import Any

from django.db import models, transaction

from models_admin.models import Model, Policy
from models_admin.services import scaling, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Invalid

FIXED_FIELDS = frozenset({"id", "model", "revision", "updated_at"})
EDITABLE_FIELDS = tuple(field.name for field in Policy._meta.fields if field.name not in FIXED_FIELDS)
"""What an operator may set, in the order of the form."""


@transaction.atomic
def update_policy(*, actor: Actor, model: Model, expected_revision: int | None = None, **fields: Any) -> Policy:
    """Set some of the policy's fields (EDITABLE_FIELDS); all rules are checked on the result.

    New bounds of the number of instances take effect at once: the wanted number moves into them, as a Decision.
    """
    writing.hold(model)
    row = writing.lock(Policy.objects.get(model=model), expected_revision)
    changes = {}
    for name, value in fields.items():
        if name not in EDITABLE_FIELDS:
            raise Invalid(f"{name} is not a field of the policy.", field=name, code="unknown_field")
        cleaned = _typed(Policy._meta.get_field(name), name, value)
        if cleaned != getattr(row, name):
            changes[name] = [getattr(row, name), cleaned]
            setattr(row, name, cleaned)
    if not changes:
        return row
    row.revision += 1
    writing.check(row)
    row.save()
    scaling.keep_within(actor=actor, policy=row)
    writing.audit(actor, "policy.update", "model", model.name, changes=changes)
    writing.publish()
    return row


def _typed(field: Any, name: str, value: Any) -> Any:
    """The value in the field's type; no number is rounded and no truth value taken for a number (A9)."""
    if isinstance(field, models.BooleanField):
        if isinstance(value, bool):
            return value
    elif isinstance(field, models.FloatField):
        if isinstance(value, int | float) and not isinstance(value, bool) and float("-inf") < value < float("inf"):
            return float(value)
    elif isinstance(field, models.IntegerField):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(field, models.JSONField):
        if isinstance(value, list | tuple):
            return list(value)
    elif isinstance(value, str):
        return value
    raise Invalid(f"{name}: {value!r:.60} is not a valid value.", field=name)
