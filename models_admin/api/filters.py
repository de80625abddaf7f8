"""Filters of lists: typed query parameters; a value that cannot be read is a 400 that names the parameter."""

from __future__ import annotations

from typing import Any

from django_filters import rest_framework as filters

MAX_TEXT_CHARACTERS = 200


class StrictFilterSet(filters.FilterSet):
    """Text filters are bounded in length."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for one in self.filters.values():
            if isinstance(one, filters.CharFilter):
                one.extra.setdefault("max_length", MAX_TEXT_CHARACTERS)


def ordering(*names: str) -> filters.OrderingFilter:
    """`?ordering=name` or `-name`, among `names`."""
    return filters.OrderingFilter(fields=[(name, name) for name in names], help_text="A leading - reverses.")


def true_or_false(field: str | None = None) -> filters.TypedChoiceFilter:
    """`?loaded=true`, of the field of that name or of `field`; another word is refused rather than ignored."""
    choices = [("true", "true"), ("false", "false")]
    return filters.TypedChoiceFilter(field_name=field, choices=choices, coerce=lambda word: word == "true")


def since(field: str = "at") -> filters.IsoDateTimeFilter:
    """`?since=2026-01-31T12:00:00Z`."""
    return filters.IsoDateTimeFilter(field_name=field, lookup_expr="gte", help_text="ISO 8601, inclusive.")


def until(field: str = "at") -> filters.IsoDateTimeFilter:
    """`?until=2026-01-31T12:00:00Z`."""
    return filters.IsoDateTimeFilter(field_name=field, lookup_expr="lt", help_text="ISO 8601, exclusive.")
