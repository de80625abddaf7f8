"""What people call each field of a policy and its values: label, unit, value in words. Pure.

Everything is `Words` (proxy.core.words): a Decision keeps them, each reader sees them in their language. Names such as
`max_batch_rows` are for programs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils.translation import gettext, override

from models_admin.models.policy import Policy
from proxy.core.policies import Knob, TuningMode
from proxy.core.words import Words, joined, readable, say

UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_mib": "MiB",
    "_percent": "%",
    "_rows": say("rows"),
    "_requests": say("requests"),
    "_requests_per_priority": say("requests"),
    "_instances": say("instances"),
    "threads_per_instance": say("threads"),
    "priority_levels": say("levels"),
    "keep_latest": say("versions"),
    "concurrency_limit": say("requests"),
}
"""Unit by the ending of a field's name; the first that fits counts."""
LABELS = {
    "max_batch_rows": say("Largest batch"),
    "max_queue_delay_ms": say("Longest wait for company"),
    "preferred_batch_rows": say("Preferred sizes"),
    "padded_batch_rows": say("Pad to sizes"),
    "oversize": say("Requests larger than a batch"),
    "max_queue_requests": say("Queue length"),
    "max_queue_requests_per_priority": say("Queue length of one priority"),
    "priority_levels": say("Priority levels"),
    "default_priority": say("Default priority"),
    "ageing_ms": say("Ageing"),
    "fair_share": say("Fair share between keys"),
    "contended_rows": say("Largest batch while keys contend"),
    "adaptive_limit": say("Adaptive concurrency limit"),
    "retry_budget_percent": say("Retry budget"),
    "default_timeout_ms": say("Default timeout"),
    "max_timeout_ms": say("Longest timeout"),
    "execution_timeout_ms": say("Execution timeout"),
    "load_timeout_s": say("Load timeout"),
    "device": say("Device"),
    "threads_per_instance": say("Threads per instance"),
    "memory_limit_mib": say("Memory limit"),
    "autoscale": say("Scale by measured load"),
    "min_instances": say("Fewest instances"),
    "max_instances": say("Most instances"),
    "target_utilisation_percent": say("Target utilisation"),
    "target_queue_wait_ms": say("Target wait in the queue"),
    "scale_down_delay_s": say("Scale-down delay"),
    "scale_to_zero_after_s": say("Sleep when unused for"),
    "wake_timeout_s": say("Longest wait for waking"),
    "version_policy": say("New versions"),
    "keep_latest": say("Newest versions kept loaded"),
    "rollback_window_s": say("Keep the replaced version warm"),
    "cache_enabled": say("Cache answers"),
    "cache_max_mib": say("Cache size"),
    "cache_ttl_s": say("Longest age"),
    "concurrency_limit": say("Concurrency limit"),
    "placement": say("Placement"),
    "cache_eviction": say("What goes first when full"),
    "cache_shared": say("Share answers between tenants"),
    "cache_keep_nan": say("Keep answers with NaN"),
    "cache_second_level": say("Second level"),
    "objective": say("Objective"),
    "latency_target_ms": say("Latency target"),
    "latency_quantile": say("Percentile of the target"),
    "tuning_modes": say("Modes of tuning"),
}
MODES: dict[str, Words] = {
    TuningMode.OFF: say("off"),
    TuningMode.ADVISE: say("advise"),
    TuningMode.AUTOMATIC: say("automatic"),
}
UNBOUNDED_AT_0 = frozenset({"cache_ttl_s", "concurrency_limit"})
"""Fields whose 0 says that there is no bound, not that the bound is none."""


def in_language(words: str) -> str:
    """Words in the language of whoever reads now."""
    return readable(words.parts, gettext, words) if isinstance(words, Words) else words


def label_words(name: str) -> Words:
    """What a field of the policy is called; of a knob, too, that is no field."""
    if name == Knob.INSTANCES:
        return say("Instances")
    return LABELS.get(name) or Words(name.replace("_", " ").capitalize())


def unit_words(name: str) -> str:
    """The unit that stands behind the field's number; empty where it has none."""
    if isinstance(Policy._meta.get_field(name), models.BooleanField):
        return ""
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


def plain_words(name: str, value: Any) -> Words:
    """A value of the field as people read it, without its unit."""
    field: Any = Policy._meta.get_field(name)
    if isinstance(value, bool):
        return say("on") if value else say("off")
    if isinstance(value, dict):
        return modes_words(value)
    if isinstance(value, list):
        return Words(", ".join(map(str, value))) if value else say("none")
    if field.choices:
        return _choice(dict(field.choices).get(value, value))
    text = f"{value:,g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    return Words(text) if text else Words("", [])


def value_words(name: str, value: Any) -> Words:
    """A value of the field in words, with its unit where it is a number."""
    if name in UNBOUNDED_AT_0 and value == 0:
        return say("no limit")
    unit = unit_words(name) if isinstance(value, int | float) and not isinstance(value, bool) else ""
    words = plain_words(name, value)
    return words + " " + unit if unit else words


def modes_words(modes: Mapping[str, str]) -> Words:
    """Modes of tuning by knob; those that only advise, as all do by default, are not named."""
    named = {knob: MODES[mode] for knob, mode in sorted(modes.items()) if mode in MODES and mode != TuningMode.ADVISE}
    told = [label_words(knob) + ": " + words for knob, words in named.items()]
    return joined(say("; "), told) if told else say("advise on each")


def _choice(label: object) -> Words:
    """A choice's label, which is translated when it is read, not now."""
    with override(None):
        return Words(str(label))
