"""An operator's policy for one model: every field bounded here, with what a larger value does."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from models_admin.models.registry import Model


class PlacementChoice(models.TextChoices):
    """How an instance is chosen for a batch (values are those of proxy.core.policies.Placement)."""

    ROUND_ROBIN = "round_robin", "Round robin"
    LEAST_OUTSTANDING = "least_outstanding", "Least outstanding"
    LEAST_RESPONSE_TIME = "least_response_time", "Least response time"


def _bounded(default: int, low: int, high: int, help_text: str) -> models.PositiveIntegerField:
    return models.PositiveIntegerField(
        default=default, validators=[MinValueValidator(low), MaxValueValidator(high)], help_text=help_text
    )


class Policy(models.Model):
    """Scheduling, batching, queue, scaling, cache and timeouts of one model. `revision` is the ETag."""

    model = models.OneToOneField(Model, on_delete=models.CASCADE, related_name="policy")
    placement = models.CharField(
        max_length=24,
        choices=PlacementChoice.choices,
        default=PlacementChoice.LEAST_OUTSTANDING,
        help_text="How an instance is chosen when several could take a batch.",
    )
    max_batch_rows = _bounded(32, 1, 4_096, "Rows in one execution. Larger: more throughput, longer executions.")
    max_queue_delay_ms = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(1_000)],
        help_text="Longest wait of a batch's first request for company, in ms. Larger: fuller batches, later answers. "
        "0: no fixed delay; a batch waits at most 2 ms, and only for callers that were just answered.",
    )
    max_queue_requests = _bounded(
        1_000, 1, 100_000, "Requests that may wait. Larger: fewer refusals in a burst, longer waits."
    )
    default_timeout_ms = _bounded(30_000, 1, 3_600_000, "Deadline of a request that names none, in ms.")
    max_timeout_ms = _bounded(120_000, 1, 3_600_000, "Longest deadline that a client may ask for, in ms.")
    execution_timeout_ms = _bounded(
        10_000, 10, 600_000, "An execution longer than this counts as hung: its instance is killed and replaced."
    )
    load_timeout_s = _bounded(120, 1, 3_600, "A load longer than this counts as failed.")
    threads_per_instance = _bounded(
        1, 1, 256, "Threads of one instance. Larger: faster single executions, fewer instances fit the cores."
    )
    memory_limit_mib = _bounded(
        4_096, 256, 1_048_576, "Memory that one instance may use. An instance that wants more is ended and replaced."
    )
    autoscale = models.BooleanField(
        default=True, help_text="Let measured load choose the number of instances within the bounds."
    )
    min_instances = _bounded(1, 1, 64, "Fewest instances kept while the model is loaded.")
    max_instances = _bounded(2, 1, 64, "Most instances that scaling may reach. Each costs memory.")
    target_utilisation_percent = _bounded(
        70, 10, 95, "Busy share that scaling aims at. Larger: fewer instances, longer waits in a burst."
    )
    scale_down_delay_s = _bounded(
        60, 5, 86_400, "How long load must stay low before an instance is removed. Larger: calmer, dearer."
    )
    rollback_window_s = _bounded(
        300, 0, 86_400, "How long a replaced default version stays loaded, so that going back to it is instant."
    )
    cache_enabled = models.BooleanField(
        default=True, help_text="Answer repeated inputs from memory. Ignored for versions that are not cacheable."
    )
    cache_max_mib = _bounded(64, 1, 65_536, "Memory for cached answers. Larger: more hits, less memory for models.")
    cache_ttl_s = _bounded(0, 0, 31_536_000, "Age at which a cached answer is dropped. 0: never.")
    revision = models.PositiveBigIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return f"policy of {self.model}"

    def clean(self) -> None:
        """Check the rules that span fields."""
        errors = {}
        if self.min_instances > self.max_instances:
            errors["min_instances"] = "The minimum may not exceed the maximum number of instances."
        if self.default_timeout_ms > self.max_timeout_ms:
            errors["default_timeout_ms"] = "The default timeout may not exceed the longest timeout."
        if errors:
            raise ValidationError(errors)
