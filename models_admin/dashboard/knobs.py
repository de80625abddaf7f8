"""Knobs, values and metrics of decisions in words. Pure."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import models
from django.utils.translation import gettext as _

from models_admin.dashboard.policy_fields import label_of, value_with_unit
from models_admin.models import Policy
from models_admin.templatetags.ui import ms, percent
from proxy.core.policies import Knob, TuningMode
from proxy.tuner.knobs import Bounds

LONGEST_CUT = 60
"""Characters that a Decision keeps of a value; a list that long may be cut."""


def knob_label(knob: str) -> str:
    """What the knob is called on the pages."""
    return label_of(knob)


def value_in_words(knob: str, value: Any) -> str:
    """A knob's value, or the text that a Decision keeps of it, with its unit."""
    try:
        field: Any = Policy._meta.get_field(knob)
    except FieldDoesNotExist:
        return str(value)
    if isinstance(field, models.JSONField):
        return str(value) or _("none")
    try:
        return value_with_unit(knob, field.to_python(value))
    except ValidationError:
        return str(value)


def bounds_in_words(knob: Knob, bounds: Bounds) -> str:
    """Between which values tuning may move the knob."""
    if knob is Knob.PLACEMENT:
        return _("any of %(count)s") % {"count": len(bounds.placement)}
    if knob is Knob.CACHE_POLICY:
        return _("any of %(count)s") % {"count": len(bounds.cache_eviction)}
    low, high = bounds.range_of(knob)
    if knob is Knob.CONCURRENCY:
        return _("none, or up to %(high)s") % {"high": value_in_words(knob, round(high))}
    whole = knob is not Knob.QUEUE_DELAY
    words = [value_in_words(knob, round(one) if whole else one) for one in (low, high)]
    return _("%(low)s to %(high)s") % {"low": words[0].partition(" ")[0], "high": words[1]}


def mode_choices() -> tuple[tuple[str, str, str], ...]:
    """(mode, its name, what it means), in the order of the selector."""
    return (
        (TuningMode.OFF.value, _("Off"), _("left alone")),
        (TuningMode.ADVISE.value, _("Advise"), _("proposes, a person applies")),
        (TuningMode.AUTOMATIC.value, _("Automatic"), _("tries, measures, keeps what helps")),
    )


def metric_label(metric: str) -> str:
    """What is measured, as a heading."""
    names = {
        "mean_ms": _("Mean latency"),
        "queue_mean_ms": _("Mean wait"),
        "hits_ratio": _("Hit ratio"),
        "lost_ratio": _("Lost requests"),
        "capacity_per_s": _("Could answer"),
        "cache_mib": _("Cache memory"),
        "throughput_per_s": _("Answers a second"),
        "busy_ratio": _("Busy share"),
        "instances": _("Instances"),
    }
    known = names.get(metric)
    return known or metric.removesuffix("_ms").replace("_", " ")


def metric_in_words(metric: str, value: Any) -> str:
    """A measured or predicted value with its unit; a dash for what is not known."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    if metric.endswith("_ms"):
        return ms(value)
    if metric.endswith("_ratio"):
        return percent(value)
    if metric.endswith("_mib"):
        return f"{value:,.1f} MiB"
    if metric.endswith("_per_s"):
        return f"{value:,.0f}/s"
    return f"{value:,g}"
