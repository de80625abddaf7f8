"""Measurements over time: per second, rolled up to minutes.

`histogram` is {bucket index: count} of proxy.metrics' latency histogram, so that a roll-up merges counts and
reads true percentiles instead of averaging percentiles.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy

SECOND_S = 1
MINUTE_S = 60
ALL_MODELS = ""
"""`model_name` of the row of all models together, which every measured second has."""
WHOLE_MODEL = 0
"""`version` of the row of all versions of a model together. Versions have rows of seconds, which are not rolled up."""
IDLE_ROW_EACH_S = 5
"""How often an idle model with instances has a row. Larger: fewer rows, and a later look at idle instances; scaling
looks at the last 15 s."""


class MetricSample(models.Model):
    """One model's measurements over `resolution_s` seconds from `at`. `model_name` empty: all models together."""

    model_name = models.CharField(max_length=128, blank=True)
    version = models.PositiveIntegerField(
        default=WHOLE_MODEL, help_text=gettext_lazy("0: all versions of the model together.")
    )
    resolution_s = models.PositiveSmallIntegerField(default=SECOND_S)
    at = models.DateTimeField()
    requests = models.PositiveIntegerField(default=0, help_text=gettext_lazy("Answered with 200, cache hits included."))
    errors = models.PositiveIntegerField(default=0)
    rejections = models.PositiveIntegerField(
        default=0, help_text=gettext_lazy("Refused at admission or expired in the queue.")
    )
    cache_hits = models.PositiveIntegerField(default=0)
    cache_misses = models.PositiveIntegerField(default=0)
    coalesced = models.PositiveIntegerField(
        default=0, help_text=gettext_lazy("Answered by the execution of an identical request; neither hit nor miss.")
    )
    inferences = models.PositiveIntegerField(default=0, help_text=gettext_lazy("Rows executed."))
    executions = models.PositiveIntegerField(default=0)
    p50_ms = models.FloatField(null=True)
    p95_ms = models.FloatField(null=True)
    p99_ms = models.FloatField(null=True)
    mean_ms = models.FloatField(null=True)
    queue_mean_ms = models.FloatField(null=True)
    queue_depth = models.PositiveIntegerField(default=0)
    in_flight = models.PositiveIntegerField(default=0)
    instances = models.PositiveSmallIntegerField(default=0)
    busy_ratio = models.FloatField(default=0, help_text=gettext_lazy("Busy share of the ready instances, 0 to 1."))
    histogram = models.JSONField(default=dict)
    compute_mean_ms = models.FloatField(null=True)
    cache_bytes = models.PositiveBigIntegerField(default=0)
    rows_by_bits = models.JSONField(
        default=dict, help_text=gettext_lazy("{n: executions of at most 2^n rows, more than 2^(n-1)}")
    )

    class Meta:
        ordering = ["at"]
        constraints = [
            models.UniqueConstraint(fields=["resolution_s", "model_name", "version", "at"], name="unique_metric_sample")
        ]

    def __str__(self) -> str:
        return f"{self.model_name or 'total'} {self.at:%H:%M:%S}"


class MachineSample(models.Model):
    """CPU, memory and GPUs of the host. `gpus` is a list of {index, name, utilisation_percent, …}, maybe empty."""

    resolution_s = models.PositiveSmallIntegerField(default=SECOND_S)
    at = models.DateTimeField()
    cpu_percent = models.FloatField()
    per_core_percent = models.JSONField(default=list)
    memory_used_bytes = models.PositiveBigIntegerField()
    memory_total_bytes = models.PositiveBigIntegerField()
    gpus = models.JSONField(default=list)

    class Meta:
        ordering = ["at"]
        constraints = [models.UniqueConstraint(fields=["resolution_s", "at"], name="unique_machine_sample")]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.cpu_percent:.0f}%"
