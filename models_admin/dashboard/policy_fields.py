"""How each field of a policy is shown and read on its page: kind, value, bounds, words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from models_admin.models import Policy
from models_admin.models.policy_words import in_language, label_words, plain_words, unit_words, value_words
from models_admin.services.errors import ServiceError
from models_admin.services.policies import EDITABLE_FIELDS
from proxy.core.policies import Knob, TuningMode

MOST_CHARACTERS = 400
"""Of a list of sizes: sixteen of them with much space between."""
MODES = "tuning_modes"
MODE_KNOBS = tuple(knob for knob in Knob if knob is not Knob.INSTANCES)
"""Knobs whose mode is kept in `tuning_modes`; the number of instances is automatic by `autoscale`."""


@dataclass(frozen=True, slots=True)
class FieldView:
    """One field as the form shows it. `kind`: choice, flag, number, sizes, modes or text.

    The value of `modes` is one (knob, its label, its mode) for each knob.
    """

    name: str
    label: str
    kind: str
    value: Any
    default: Any
    unit: str
    low: float | None
    high: float | None
    step: str
    choices: tuple[tuple[str, str], ...]
    help_text: str
    error: str


def label_of(name: str) -> str:
    """What the field is called on the page."""
    return in_language(label_words(name))


def unit_of(name: str) -> str:
    """The unit that stands behind the field's number; empty where it has none."""
    return in_language(unit_words(name))


def field_view(policy: Policy, name: str, typed: Mapping[str, Any], error: ServiceError | None) -> FieldView:
    """The field `name` with what was typed, else its value now; so, too, the mode of each knob."""
    field: Any = Policy._meta.get_field(name)
    value = typed.get(name, getattr(policy, name))
    if name == MODES:
        value = {**policy.tuning_modes, **value}
    low, high = (None, None) if field.choices else bounds_of(name)
    return FieldView(
        name=name,
        label=label_of(name),
        kind=_kind(field),
        value=_shown(name, value),
        default=in_words(name, field.get_default()),
        unit=unit_of(name),
        low=low,
        high=high,
        step="any" if isinstance(field, models.FloatField) else "1",
        choices=tuple((str(value), label) for value, label in field.choices or ()),
        help_text=field.help_text,
        error=without_name(error) if error is not None and error.field == name else "",
    )


def without_name(error: ServiceError) -> str:
    """What a service says of a field, without the name that programs call it by."""
    return error.message.removeprefix(f"{error.field}: ")


def error_words(error: ServiceError) -> str:
    """What a service says, with the label of the field that it names as programs do."""
    if error.field is None or without_name(error) == error.message:
        return error.message
    return f"{label_of(error.field)}: {without_name(error)}"


def bounds_of(name: str) -> tuple[float | None, float | None]:
    """Least and largest value of the field; None where it has no bound."""
    validators = Policy._meta.get_field(name).validators
    low = next((rule.limit_value for rule in validators if isinstance(rule, MinValueValidator)), None)
    high = next((rule.limit_value for rule in validators if isinstance(rule, MaxValueValidator)), None)
    return low, high


def typed_in(form: Mapping[str, str]) -> dict[str, Any]:
    """What was typed into the form, by field; `tuning_modes` as {knob: mode} of those that the form has."""
    typed: dict[str, Any] = {name: form.get(name, "") for name in EDITABLE_FIELDS}
    sent = {str(knob): form.get(f"{MODES}.{knob}") for knob in MODE_KNOBS}
    return {**typed, MODES: {knob: mode for knob, mode in sent.items() if mode is not None}}


def values_of(policy: Policy, typed: Mapping[str, Any]) -> dict[str, Any]:
    """What the service takes for what was typed. Modes that are as they were stay written as they were."""
    values = {name: read(name, text) for name, text in typed.items() if name != MODES}
    modes = dict(policy.tuning_modes)
    modes.update((knob, mode) for knob, mode in typed.get(MODES, {}).items() if mode_of(modes, knob) != mode)
    return {**values, MODES: modes}


def read(name: str, text: str) -> Any:
    """What the service takes: typed numbers; text that is none goes on as it is, for the service to refuse in words."""
    field = Policy._meta.get_field(name)
    if isinstance(field, models.BooleanField):
        return text == "on"
    if isinstance(field, models.JSONField):
        return [_number(size, int) for size in re.split(r"[\s,;]+", text.strip()[:MOST_CHARACTERS]) if size]
    if isinstance(field, models.FloatField):
        return _number(text, float)
    if isinstance(field, models.IntegerField):
        return _number(text, int)
    return text


def in_words(name: str, value: Any) -> str:
    """A value of the field as people read it, without its unit."""
    return in_language(plain_words(name, value))


def value_with_unit(name: str, value: Any) -> str:
    """A value of the field in words, with its unit where it is a number."""
    return in_language(value_words(name, value))


def mode_of(modes: Mapping[str, str], knob: str) -> str:
    """The mode of `knob`: what `modes` says, else advise."""
    return modes.get(knob, TuningMode.ADVISE.value)


def _shown(name: str, value: Any) -> Any:
    """A value as the form's control takes it."""
    field: Any = Policy._meta.get_field(name)
    if name == MODES:
        return tuple((knob.value, label_of(knob), mode_of(value, knob)) for knob in MODE_KNOBS)
    kind = _kind(field)
    if kind == "flag":
        return value in {True, "on"}
    if kind == "sizes" and isinstance(value, list):
        return ", ".join(map(str, value))
    if kind == "choice":
        return str(value)
    return f"{value:g}" if isinstance(value, float) else value


def _kind(field: Any) -> str:
    if field.name == MODES:
        return "modes"
    if field.choices:
        return "choice"
    if isinstance(field, models.BooleanField):
        return "flag"
    if isinstance(field, models.JSONField):
        return "sizes"
    return "text" if isinstance(field, models.CharField) else "number"


def _number(text: str, kind: type[int | float]) -> int | float | str:
    try:
        return kind(text.strip()[:40])
    except ValueError:
        return text
