"""What a policy's fields may say: the choices, and the rules of lists and modes."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from proxy.core.policies import Knob, TuningMode


class PlacementChoice(models.TextChoices):
    """How an instance is chosen for a batch (values are those of proxy.core.policies.Placement)."""

    ROUND_ROBIN = "round_robin", gettext_lazy("Round robin")
    RANDOM = "random", gettext_lazy("Random")
    LEAST_OUTSTANDING = "least_outstanding", gettext_lazy("Least outstanding")
    LEAST_RESPONSE_TIME = "least_response_time", gettext_lazy("Least response time")
    POWER_OF_TWO_CHOICES = "power_of_two_choices", gettext_lazy("Power of two choices")


class OversizeChoice(models.TextChoices):
    """What happens to a request of more rows than a batch may hold (as in proxy.core.policies.Oversize)."""

    SPLIT = "split", gettext_lazy("Split and join the answers")
    REFUSE = "refuse", gettext_lazy("Refuse")


class EvictionChoice(models.TextChoices):
    """Which kept answer goes first when a cache is full (values are those of proxy.core.policies.Eviction)."""

    LRU = "lru", gettext_lazy("Least recently used")
    S3_FIFO = "s3_fifo", gettext_lazy("S3-FIFO")
    SIEVE = "sieve", gettext_lazy("SIEVE")
    W_TINYLFU = "w_tinylfu", gettext_lazy("W-TinyLFU")
    SAVED_PER_BYTE = "saved_per_byte", gettext_lazy("Model time saved per byte")


class ObjectiveChoice(models.TextChoices):
    """What tuning aims at (values are those of proxy.core.policies.Objective)."""

    LOWEST_COST = "lowest_cost", gettext_lazy("Lowest cost that holds the latency target")
    HIGHEST_THROUGHPUT = "highest_throughput", gettext_lazy("Highest throughput")
    LOWEST_LATENCY = "lowest_latency", gettext_lazy("Lowest latency")


class LatencyQuantile(models.IntegerChoices):
    """Which percentile of latency the target is set for."""

    P95 = 95, "p95"
    P99 = 99, "p99"


class VersionPolicy(models.TextChoices):
    """What becomes of a version that passed its validation."""

    DEFAULT = "default", gettext_lazy("Wait for a person or a rollout")
    LATEST = "latest", gettext_lazy("Becomes the default by itself")


MAX_SIZES = 16
MAX_ROWS = 4_096
validate_device = RegexValidator(
    r"\A(?:auto|cpu|cuda(?::[0-9]{1,2})?)\Z", gettext_lazy("Use auto, cpu, cuda or cuda:N.")
)


def validate_sizes(value: Any) -> None:
    """A list of different batch sizes, ascending."""
    if not isinstance(value, list) or not all(type(size) is int and 1 <= size <= MAX_ROWS for size in value):
        raise ValidationError(
            _("Give whole numbers from 1 to %(most)s.") % {"most": f"{MAX_ROWS:,}".replace(",", "\u202f")}
        )
    if value != sorted(set(value)):
        raise ValidationError(_("Give each size once, smallest first."))
    if len(value) > MAX_SIZES:
        raise ValidationError(
            _("Give at most %(most)s sizes: every instance is warmed up with each of them.") % {"most": MAX_SIZES}
        )


def validate_modes(value: Any) -> None:
    """Modes of tuning by knob; a knob that is not named is advised on."""
    modes, knobs = set(TuningMode), set(Knob)
    if not isinstance(value, dict) or not all(knob in knobs and mode in modes for knob, mode in value.items()):
        raise ValidationError(
            _("Give one of %(modes)s for any of %(knobs)s.")
            % {"modes": ", ".join(TuningMode), "knobs": ", ".join(Knob)}
        )


def bounded(default: int, low: int, high: int, help_text: Any) -> models.PositiveIntegerField:
    """A whole number with its bounds."""
    return models.PositiveIntegerField(
        default=default, validators=[MinValueValidator(low), MaxValueValidator(high)], help_text=help_text
    )


def sizes(help_text: Any) -> models.JSONField:
    """A list of batch sizes."""
    return models.JSONField(default=list, blank=True, validators=[validate_sizes], help_text=help_text)
