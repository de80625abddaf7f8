"""Serializer pieces that refuse instead of guessing: unknown fields, look-alike and infinite numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from rest_framework import serializers

from models_admin.api.parsers import refuse_constant, whole_number
from proxy.core.tensors import DATATYPES


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know and fields that only the server sets."""

    def to_internal_value(self, data: Any) -> Any:
        """The accepted values; ValidationError with every unknown field beside the other errors."""
        unknown = {}
        if isinstance(data, Mapping):
            for name in data:
                known = self.fields.get(name) if isinstance(name, str) else None
                if known is None:
                    unknown[name] = [f"Unknown field; this route takes {self._writable()}."]
                elif known.read_only:
                    unknown[name] = ["Only the server sets this field."]
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            detail = error.detail if isinstance(error.detail, Mapping) else {"": error.detail}
            raise serializers.ValidationError({**detail, **unknown}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return values

    def _writable(self) -> str:
        return ", ".join(name for name, field in self.fields.items() if not field.read_only) or "none"


class Text(serializers.CharField):
    """A JSON string; a number is not taken for its digits."""

    def to_internal_value(self, data: Any) -> str:
        """The text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class WholeNumber(serializers.IntegerField):
    """A JSON whole number. `1.5`, `"3"`, `true` and `1e3` are refused rather than converted."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Give a whole number."}

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return data


class FormWholeNumber(serializers.IntegerField):
    """A whole number in a form, where every value is text."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Give a whole number."}

    def to_internal_value(self, data: Any) -> int:
        """The number."""
        text = str(data).strip()
        if not (text.isascii() and text.isdecimal()):
            self.fail("invalid")
        return super().to_internal_value(text)


class FiniteNumber(serializers.FloatField):
    """A JSON number that is neither NaN nor infinite."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Give a number."}

    def to_internal_value(self, data: Any) -> float:
        """The number."""
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        try:
            value = float(data)
        except OverflowError:
            self.fail("invalid")
        if not math.isfinite(value):
            self.fail("invalid")
        return value


class TrueOrFalse(serializers.BooleanField):
    """JSON's true or false; nothing that merely resembles them."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid": "Give true or false."}

    def to_internal_value(self, data: Any) -> bool:
        """The truth value."""
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class FormTrueOrFalse(serializers.ChoiceField):
    """`true` or `false` as text in a form. Absent means the default, unlike a browser's unchecked box."""

    default_error_messages: ClassVar[dict[str, str]] = {"invalid_choice": "Give true or false."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=["true", "false"], **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """The truth value."""
        return super().to_internal_value(str(data).strip().lower()) == "true"


class JsonText(serializers.CharField):
    """A form field that holds JSON as text. What it may say is checked by the service, which names the inner path."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """The parsed value; an empty text counts as absent."""
        text = super().run_validation(data)
        if text in (None, ""):
            return None
        try:
            value = json.loads(text, parse_constant=refuse_constant, parse_int=whole_number)
            sound = _is_sound(value)
        except RecursionError:
            raise serializers.ValidationError(["This JSON is nested too deeply."]) from None
        except ValueError as error:
            raise serializers.ValidationError([f"This is not valid JSON: {error}."]) from None
        if not sound:
            raise serializers.ValidationError(["Texts may hold no NUL character and no lone surrogate."])
        return value


def _is_sound(value: Any) -> bool:
    """True if every text in `value` can be stored: PostgreSQL's jsonb takes neither NUL nor lone surrogates."""
    if isinstance(value, str):
        return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, dict):
        return all(_is_sound(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return all(_is_sound(part) for part in value)
    return True


class TensorSpecSerializer(serializers.Serializer[Any]):
    """Name, datatype and shape of one input or output."""

    name = serializers.CharField()
    datatype = serializers.ChoiceField(choices=sorted(DATATYPES))
    shape = serializers.ListField(child=serializers.IntegerField(), help_text="Sizes; -1 marks a size that varies.")


class SignatureSerializer(serializers.Serializer[Any]):
    """Inputs and outputs in the model's order."""

    inputs = TensorSpecSerializer(many=True)
    outputs = TensorSpecSerializer(many=True)


class OptionsSerializer(serializers.Serializer[Any]):
    """What a backend may be told."""

    method = serializers.CharField(required=False, help_text="TorchScript method to call instead of forward.")
    reset_method = serializers.CharField(required=False, help_text="Called before each request of a stateful model.")
    architecture = serializers.CharField(
        required=False, help_text='For safetensors: JSON such as {"name": "mlp", "widths": [64, 32, 10]}, as text.'
    )
