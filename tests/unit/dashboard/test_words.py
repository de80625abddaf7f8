"""Numbers in words, and the policy's fields."""

from __future__ import annotations

from typing import Any

import pytest
from django.template import Context, Template
from django.utils.translation import gettext, override

from models_admin.dashboard.policy_fields import error_words, field_view, in_words, typed_in, unit_of, values_of
from models_admin.dashboard.policy_layout import GROUPS
from models_admin.models import Policy
from models_admin.models.policy_words import LABELS, in_language, value_words
from models_admin.services.errors import Invalid
from models_admin.services.policies import EDITABLE_FIELDS
from models_admin.templatetags import ui
from proxy.core.words import readable, say


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
    shown = [name for _, names in GROUPS for name in names]
    assert sorted(shown) == sorted(EDITABLE_FIELDS)
    assert set(shown) == set(LABELS)


def test_a_policy_field_shows_unit_bounds_default_and_help() -> None:
    field = field_view(Policy(), "max_queue_delay_ms", {}, None)
    assert (field.unit, field.low, field.high, field.default, field.value) == ("ms", 0, 1_000, "0", 0)
    assert "Larger" in field.help_text


def test_a_choice_has_no_bounds_even_where_its_column_is_a_number() -> None:
    field = field_view(Policy(), "latency_quantile", {}, None)
    assert (field.kind, field.low, field.high, field.value, field.default) == ("choice", None, None, "99", "p99")


def test_modes_are_one_select_a_knob_and_the_number_of_instances_has_none() -> None:
    policy = Policy(tuning_modes={"cache_max_mib": "automatic", "placement": "off"})
    field = field_view(policy, "tuning_modes", {}, None)
    assert field.kind == "modes"
    modes = {knob: mode for knob, _, mode in field.value}
    assert (modes["cache_max_mib"], modes["placement"], modes["max_batch_rows"]) == ("automatic", "off", "advise")
    assert "instances" not in modes
    assert in_words("tuning_modes", policy.tuning_modes) == "Cache size: automatic; Placement: off"
    assert in_words("tuning_modes", {}) == "advise on each"


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        ({}, {"tuning_modes.placement": "advise"}, {}),
        ({"placement": "advise"}, {"tuning_modes.placement": "advise"}, {"placement": "advise"}),
        ({"placement": "off"}, {"tuning_modes.placement": "advise"}, {"placement": "advise"}),
        ({"placement": "off"}, {}, {"placement": "off"}),
        ({}, {"tuning_modes.placement": "automatic"}, {"placement": "automatic"}),
        ({}, {"tuning_modes.instances": "automatic"}, {}),
        ({}, {"tuning_modes.placement": "<b>"}, {"placement": "<b>"}),
    ],
)
def test_modes_that_were_not_changed_stay_as_they_are_written(
    before: dict[str, str], sent: dict[str, str], after: dict[str, str]
) -> None:
    assert values_of(Policy(tuning_modes=before), typed_in(sent))["tuning_modes"] == after


@pytest.mark.parametrize(
    ("name", "unit"), [("latency_target_ms", "ms"), ("concurrency_limit", "requests"), ("cache_shared", "")]
)
def test_units_of_the_fields(name: str, unit: str) -> None:
    assert unit_of(name) == unit


ABORTED = say("%(actor)s aborted it: %(reason)s", actor="user:<b>", reason="<script>%(x)s %s</script>")


@pytest.mark.parametrize(
    ("text", "parts", "shown"),
    [
        (str(ABORTED), ABORTED.parts, "user:&lt;b&gt; aborted it: &lt;script&gt;%(x)s %s&lt;/script&gt;"),
        ("<i>50 %d</i>", [], "&lt;i&gt;50 %d&lt;/i&gt;"),
        ("<i>as it was</i>", [["%(gone)s", {}]], "&lt;i&gt;as it was&lt;/i&gt;"),
        ("<i>as it was</i>", [["<i>", "no values"], 3], "&lt;i&gt;as it was&lt;/i&gt;"),
    ],
)
def test_what_people_typed_is_said_as_text_whatever_it_is_made_of(text: str, parts: Any, shown: str) -> None:
    template = Template("{% load ui %}{{ text|said:parts }}")
    assert template.render(Context({"text": text, "parts": parts})) == shown


def test_what_a_service_says_of_a_field_is_shown_under_its_label() -> None:
    error = Invalid("max_batch_rows: Ensure this value is at least 1.", field="max_batch_rows")
    assert error_words(error) == "Largest batch: Ensure this value is at least 1."
    assert error_words(Invalid("Too late.")) == "Too late."


@pytest.mark.parametrize(
    ("field", "value", "english", "chinese"),
    [
        ("max_batch_rows", 4096, "4,096 rows", "4,096 行"),
        ("cache_ttl_s", 0, "no limit", "不限"),
        ("objective", "lowest_cost", "Lowest cost that holds the latency target", "满足延迟目标的最低成本"),
        ("tuning_modes", {"cache_max_mib": "automatic"}, "Cache size: automatic", "缓存大小: 自动"),
        ("preferred_batch_rows", [1, 4], "1, 4", "1, 4"),
        ("fair_share", True, "on", "开启"),
    ],
)
def test_a_stored_value_of_a_field_is_read_in_the_readers_language(
    field: str, value: Any, english: str, chinese: str
) -> None:
    parts = say("It is %(value)s.", value=value_words(field, value)).parts
    assert readable(parts, gettext, "") == f"It is {english}."
    with override("zh-hans"):
        assert in_language(value_words(field, value)) == chinese
