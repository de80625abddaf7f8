"""An operator's policy for one model: every field bounded here, with what a larger value does."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from models_admin.models.registry import Model
from proxy.core.policies import Knob, TuningMode


class PlacementChoice(models.TextChoices):
    """How an instance is chosen for a batch (values are those of proxy.core.policies.Placement)."""

    ROUND_ROBIN = "round_robin", "Round robin"
    RANDOM = "random", "Random"
    LEAST_OUTSTANDING = "least_outstanding", "Least outstanding"
    LEAST_RESPONSE_TIME = "least_response_time", "Least response time"
    POWER_OF_TWO_CHOICES = "power_of_two_choices", "Power of two choices"


class OversizeChoice(models.TextChoices):
    """What happens to a request of more rows than a batch may hold (as in proxy.core.policies.Oversize)."""

    SPLIT = "split", "Split and join the answers"
    REFUSE = "refuse", "Refuse"


class EvictionChoice(models.TextChoices):
    """Which kept answer goes first when a cache is full (values are those of proxy.core.policies.Eviction)."""

    LRU = "lru", "Least recently used"
    S3_FIFO = "s3_fifo", "S3-FIFO"
    SIEVE = "sieve", "SIEVE"
    W_TINYLFU = "w_tinylfu", "W-TinyLFU"
    SAVED_PER_BYTE = "saved_per_byte", "Model time saved per byte"


class ObjectiveChoice(models.TextChoices):
    """What tuning aims at (values are those of proxy.core.policies.Objective)."""

    LOWEST_COST = "lowest_cost", "Lowest cost that holds the latency target"
    HIGHEST_THROUGHPUT = "highest_throughput", "Highest throughput"
    LOWEST_LATENCY = "lowest_latency", "Lowest latency"


class LatencyQuantile(models.IntegerChoices):
    """Which percentile of latency the target is set for."""

    P95 = 95, "p95"
    P99 = 99, "p99"


class VersionPolicy(models.TextChoices):
    """What becomes of a version that passed its validation."""

    DEFAULT = "default", "Wait for a person or a rollout"
    LATEST = "latest", "Becomes the default by itself"


MAX_SIZES = 16
MAX_ROWS = 4_096
validate_device = RegexValidator(r"\A(?:auto|cpu|cuda(?::[0-9]{1,2})?)\Z", "Use auto, cpu, cuda or cuda:N.")


def validate_sizes(value: Any) -> None:
    """A list of different batch sizes, ascending."""
    if not isinstance(value, list) or not all(type(size) is int and 1 <= size <= MAX_ROWS for size in value):
        raise ValidationError(f"Give whole numbers from 1 to {MAX_ROWS:,}.".replace(",", "\u202f"))
    if value != sorted(set(value)):
        raise ValidationError("Give each size once, smallest first.")
    if len(value) > MAX_SIZES:
        raise ValidationError(f"Give at most {MAX_SIZES} sizes: every instance is warmed up with each of them.")


def validate_modes(value: Any) -> None:
    """Modes of tuning by knob; a knob that is not named is advised on."""
    modes, knobs = set(TuningMode), set(Knob)
    if not isinstance(value, dict) or not all(knob in knobs and mode in modes for knob, mode in value.items()):
        raise ValidationError(f"Give one of {', '.join(TuningMode)} for any of {', '.join(Knob)}.")


def _bounded(default: int, low: int, high: int, help_text: str) -> models.PositiveIntegerField:
    return models.PositiveIntegerField(
        default=default, validators=[MinValueValidator(low), MaxValueValidator(high)], help_text=help_text
    )


def _sizes(help_text: str) -> models.JSONField:
    return models.JSONField(default=list, blank=True, validators=[validate_sizes], help_text=help_text)


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
    preferred_batch_rows = _sizes("Batch sizes that leave at once instead of waiting for more company.")
    padded_batch_rows = _sizes(
        "The only batch sizes that are executed; rows are added up to the next one and their answers dropped. "
        "More sizes: less work for nothing, more shapes that a compiled model has to know."
    )
    oversize = models.CharField(
        max_length=8,
        choices=OversizeChoice.choices,
        default=OversizeChoice.SPLIT,
        help_text="What happens to a request of more rows than the largest batch.",
    )
    max_queue_requests = _bounded(
        1_000, 1, 100_000, "Requests that may wait. Larger: fewer refusals in a burst, longer waits."
    )
    max_queue_requests_per_priority = _bounded(
        0,
        0,
        100_000,
        "Requests of one priority that may wait. Larger: one level may fill more of the queue. 0: no bound.",
    )
    priority_levels = _bounded(
        3, 1, 10, "Levels that a request may name; 1 goes first. Larger: finer, and more of them to wait behind."
    )
    default_priority = _bounded(2, 1, 10, "Priority of a request that names none. Larger: it goes later.")
    ageing_ms = _bounded(
        1_000,
        0,
        3_600_000,
        "Each such wait raises a request by one level, so that none starves. Larger: stricter priorities. 0: never.",
    )
    fair_share = models.BooleanField(
        default=True,
        help_text="Serve the keys that wait in proportion to their weights, so that none crowds others out.",
    )
    adaptive_limit = models.BooleanField(
        default=False,
        help_text="Bound the requests in the line by what the measured service time bears; refuse the others at once.",
    )
    concurrency_limit = _bounded(
        0,
        0,
        100_000,
        "Requests of the model that may wait and run together; others are refused at once. Larger: fewer refusals, "
        "longer waits. 0: only the queue's length bounds them.",
    )
    retry_budget_percent = _bounded(
        10,
        0,
        100,
        "Share of the requests that may be executed once more after their instance was lost. Larger: fewer errors "
        "after a crash, more work while instances keep crashing. 0: none.",
    )
    default_timeout_ms = _bounded(30_000, 1, 3_600_000, "Deadline of a request that names none, in ms.")
    max_timeout_ms = _bounded(120_000, 1, 3_600_000, "Longest deadline that a client may ask for, in ms.")
    execution_timeout_ms = _bounded(
        10_000, 10, 600_000, "An execution longer than this counts as hung: its instance is killed and replaced."
    )
    load_timeout_s = _bounded(120, 1, 3_600, "A load longer than this counts as failed.")
    device = models.CharField(
        max_length=8,
        default="auto",
        validators=[validate_device],
        help_text="auto (a GPU with memory to spare, else the CPU), cpu, cuda or cuda:N.",
    )
    threads_per_instance = _bounded(
        1,
        0,
        256,
        "Threads of one instance. Larger: faster single executions, fewer instances fit the cores. "
        "0: the cores divided by the instances.",
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
    target_queue_wait_ms = _bounded(
        50, 1, 60_000, "Mean wait in the queue that scaling aims at. Larger: fewer instances, later answers."
    )
    scale_to_zero_after_s = _bounded(
        0,
        0,
        604_800,
        "Without a request for so long the model sleeps: no instance, no memory. Larger: fewer cold starts. 0: never.",
    )
    wake_timeout_s = _bounded(
        30, 1, 3_600, "How long a request waits for a sleeping model to load. Larger: fewer refusals, longer waits."
    )
    version_policy = models.CharField(
        max_length=8,
        choices=VersionPolicy.choices,
        default=VersionPolicy.DEFAULT,
        help_text="What becomes of a new version once it has passed its validation.",
    )
    keep_latest = _bounded(
        0,
        0,
        64,
        "The newest ready versions that stay loaded, one instance each. Larger: more memory. 0: only the default.",
    )
    rollback_window_s = _bounded(
        300, 0, 86_400, "How long a replaced default version stays loaded, so that going back to it is instant."
    )
    cache_enabled = models.BooleanField(
        default=True, help_text="Answer repeated inputs from memory. Ignored for versions that are not cacheable."
    )
    cache_max_mib = _bounded(64, 1, 65_536, "Memory for cached answers. Larger: more hits, less memory for models.")
    cache_ttl_s = _bounded(0, 0, 31_536_000, "Age at which a cached answer is dropped. 0: never.")
    cache_eviction = models.CharField(
        max_length=16,
        choices=EvictionChoice.choices,
        default=EvictionChoice.LRU,
        help_text="Which kept answer goes first when the cache is full.",
    )
    cache_shared = models.BooleanField(
        default=False,
        help_text="Give an answer that one tenant asked for to all others, too. Off: each meets only its own, so no "
        "one learns from a fast answer what others asked.",
    )
    cache_keep_nan = models.BooleanField(default=False, help_text="Keep answers that hold NaN, too.")
    cache_second_level = models.BooleanField(
        default=False, help_text="Share kept answers with other servers through Redis, where the server has one for it."
    )
    objective = models.CharField(
        max_length=20,
        choices=ObjectiveChoice.choices,
        default=ObjectiveChoice.LOWEST_LATENCY,
        help_text="What tuning of this model aims at.",
    )
    latency_quantile = models.PositiveSmallIntegerField(
        choices=LatencyQuantile.choices,
        default=LatencyQuantile.P99,
        help_text="Which percentile of latency is held to the target.",
    )
    latency_target_ms = _bounded(
        0, 0, 3_600_000, "Latency to hold, in ms. Larger: fewer instances and fuller batches do. 0: no target."
    )
    tuning_modes = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_modes],
        help_text="What tuning does with each knob: off, advise or automatic. A knob that is not named is advised on.",
    )
    revision = models.PositiveBigIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "policies"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(min_instances__lte=models.F("max_instances")), name="policy_instances"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    default_priority__gte=1, priority_levels__lte=10, default_priority__lte=models.F("priority_levels")
                ),
                name="policy_priorities",
            ),
            models.CheckConstraint(condition=models.Q(retry_budget_percent__lte=100), name="policy_retry_budget"),
        ]

    def __str__(self) -> str:
        return f"policy of {self.model}"

    def clean(self) -> None:
        """Check the rules that span fields."""
        errors = {}
        if self.objective == ObjectiveChoice.LOWEST_COST and not self.latency_target_ms:
            errors["latency_target_ms"] = "The lowest cost needs a latency to hold: set a target above 0."
        if self.min_instances > self.max_instances:
            errors["min_instances"] = "The minimum may not exceed the maximum number of instances."
        if self.default_timeout_ms > self.max_timeout_ms:
            errors["default_timeout_ms"] = "The default timeout may not exceed the longest timeout."
        if self.default_priority > self.priority_levels:
            errors["default_priority"] = "The default priority may not lie beyond the number of levels."
        for name in ("preferred_batch_rows", "padded_batch_rows"):
            sizes = getattr(self, name)  # may hold anything: the field's own rule speaks first, and this one besides
            if isinstance(sizes, list) and any(type(size) is int and size > self.max_batch_rows for size in sizes):
                errors[name] = "No size may exceed the largest batch."
        if errors:
            raise ValidationError(errors)


class PolicyRevision(models.Model):
    """One change of a policy: what it was before and after, by whom. Kept so that any of them can be gone back to."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="policy_revisions")
    revision = models.PositiveBigIntegerField()
    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=200)
    changes = models.JSONField(help_text="{field: [before, after]}")
    values = models.JSONField(help_text="Every field that can be set, as it was after the change.")

    class Meta:
        ordering = ["-revision"]
        constraints = [models.UniqueConstraint(fields=["model", "revision"], name="unique_policy_revision")]

    def __str__(self) -> str:
        return f"{self.model}: revision {self.revision}"
