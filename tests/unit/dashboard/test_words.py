"""Numbers in words, and the policy's fields."""

from __future__ import annotations

import pytest

from models_admin.dashboard.policy_fields import GROUPS, LABELS, field_view
from models_admin.models import Policy
from models_admin.services.policies import EDITABLE_FIELDS
from models_admin.templatetags import ui


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (151_234, "147.7 KiB"), (None, "–"), ("", "–")],
)
def test_bytes_in_words(value: int | None, words: str) -> None:
    assert ui.size(value) == words


@pytest.mark.parametrize(("value", "words"), [(0.614, "0.61 ms"), (41.2, "41 ms"), (None, "–"), ("", "–")])
def test_milliseconds_in_words(value: float | None, words: str) -> None:
    assert ui.ms(value) == words


def test_zero_is_shown_as_zero_and_unknown_as_a_dash() -> None:
    assert (ui.figure(0), ui.figure(None), ui.figure(12_345)) == ("0", "–", "12,345")


def test_a_free_size_is_shown_as_any() -> None:
    assert ui.shape([-1, 1, 8, 8]) == "[any, 1, 8, 8]"


def test_every_policy_field_is_on_the_page_with_a_label() -> None:
    shown = [name for names in GROUPS.values() for name in names]
    assert sorted(shown) == sorted(EDITABLE_FIELDS)
    assert set(shown) - set(LABELS) == {"placement"}


def test_a_policy_field_shows_unit_bounds_default_and_help() -> None:
    field = field_view(Policy(), "max_queue_delay_ms", {}, None)
    assert (field.unit, field.low, field.high, field.default, field.value) == ("ms", 0, 1_000, "0", 0)
    assert "Larger" in field.help_text
