"""An operator's policy for one model: every field bounded here, with what a larger value does."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from models_admin.models.policy_choices import (
    EvictionChoice,
    LatencyQuantile,
    ObjectiveChoice,
    OversizeChoice,
    PlacementChoice,
    VersionPolicy,
    bounded,
    sizes,
    validate_device,
    validate_modes,
    validate_sizes,  # noqa: F401  migrations name it here
)
from models_admin.models.registry import Model


class Policy(models.Model):
    """Scheduling, batching, queue, scaling, cache and timeouts of one model. `revision` is the ETag."""

    model = models.OneToOneField(Model, on_delete=models.CASCADE, related_name="policy")
    placement = models.CharField(
        max_length=24,
        choices=PlacementChoice.choices,
        default=PlacementChoice.LEAST_OUTSTANDING,
        help_text=_("How an instance is chosen when several could take a batch."),
    )
    max_batch_rows = bounded(32, 1, 4_096, _("Rows in one execution. Larger: more throughput, longer executions."))
    max_queue_delay_ms = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(1_000)],
        help_text=_(
            "Longest wait of a batch's first request for company, in ms. Larger: fuller batches, later answers. "
            "0: no fixed delay; a batch waits at most 2 ms, and only for callers that were just answered."
        ),
    )
    preferred_batch_rows = sizes(_("Batch sizes that leave at once instead of waiting for more company."))
    padded_batch_rows = sizes(
        _(
            "The only batch sizes that are executed; rows are added up to the next one and their answers dropped. "
            "More sizes: less work for nothing, more shapes that a compiled model has to know."
        )
    )
    oversize = models.CharField(
        max_length=8,
        choices=OversizeChoice.choices,
        default=OversizeChoice.SPLIT,
        help_text=_("What happens to a request of more rows than the largest batch."),
    )
    max_queue_requests = bounded(
        1_000, 1, 100_000, _("Requests that may wait. Larger: fewer refusals in a burst, longer waits.")
    )
    max_queue_requests_per_priority = bounded(
        0,
        0,
        100_000,
        _("Requests of one priority that may wait. Larger: one level may fill more of the queue. 0: no bound."),
    )
    priority_levels = bounded(
        3,
        1,
        10,
        _("Levels that a request may name; 1 goes first. Larger: finer, and more of them to wait behind."),
    )
    default_priority = bounded(2, 1, 10, _("Priority of a request that names none. Larger: it goes later."))
    ageing_ms = bounded(
        1_000,
        0,
        3_600_000,
        _("Each such wait raises a request by one level, so that none starves. Larger: stricter priorities. 0: never."),
    )
    fair_share = models.BooleanField(
        default=True,
        help_text=_("Serve the keys that wait in proportion to their weights, so that none crowds others out."),
    )
    contended_rows = bounded(0, 0, 65_536, _("Rows at once while one key floods. Larger: others wait longer. 0: any."))
    adaptive_limit = models.BooleanField(
        default=False,
        help_text=_(
            "Bound the requests in the line by what the measured service time bears; refuse the others at once."
        ),
    )
    concurrency_limit = bounded(
        0,
        0,
        100_000,
        _(
            "Requests of the model that may wait and run together; others are refused at once. Larger: fewer refusals, "
            "longer waits. 0: only the queue's length bounds them."
        ),
    )
    retry_budget_percent = bounded(
        10,
        0,
        100,
        _(
            "Share of the requests that may be executed once more after their instance was lost. Larger: fewer errors "
            "after a crash, more work while instances keep crashing. 0: none."
        ),
    )
    default_timeout_ms = bounded(30_000, 1, 3_600_000, _("Deadline of a request that names none, in ms."))
    max_timeout_ms = bounded(120_000, 1, 3_600_000, _("Longest deadline that a client may ask for, in ms."))
    execution_timeout_ms = bounded(
        10_000,
        10,
        600_000,
        _("An execution longer than this counts as hung: its instance is killed and replaced."),
    )
    load_timeout_s = bounded(120, 1, 3_600, _("A load longer than this counts as failed."))
    device = models.CharField(
        max_length=8,
        default="auto",
        validators=[validate_device],
        help_text=_("auto (a GPU with memory to spare, else the CPU), cpu, cuda or cuda:N."),
    )
    threads_per_instance = bounded(
        1,
        0,
        256,
        _(
            "Threads of one instance. Larger: faster single executions, fewer instances fit the cores. "
            "0: the cores divided by the instances."
        ),
    )
    memory_limit_mib = bounded(
        4_096,
        256,
        1_048_576,
        _("Memory that one instance may use. An instance that wants more is ended and replaced."),
    )
    autoscale = models.BooleanField(
        default=True, help_text=_("Let measured load choose the number of instances within the bounds.")
    )
    min_instances = bounded(1, 1, 64, _("Fewest instances kept while the model is loaded."))
    max_instances = bounded(2, 1, 64, _("Most instances that scaling may reach. Each costs memory."))
    target_utilisation_percent = bounded(
        70, 10, 95, _("Busy share that scaling aims at. Larger: fewer instances, longer waits in a burst.")
    )
    scale_down_delay_s = bounded(
        60,
        5,
        86_400,
        _("How long load must stay low before an instance is removed. Larger: calmer, dearer."),
    )
    target_queue_wait_ms = bounded(
        50,
        1,
        60_000,
        _("Mean wait in the queue that scaling aims at. Larger: fewer instances, later answers."),
    )
    scale_to_zero_after_s = bounded(
        0,
        0,
        604_800,
        _(
            "Without a request for so long the model sleeps: no instance, no memory. Larger: "
            "fewer cold starts. 0: never."
        ),
    )
    wake_timeout_s = bounded(
        30,
        1,
        3_600,
        _("How long a request waits for a sleeping model to load. Larger: fewer refusals, longer waits."),
    )
    version_policy = models.CharField(
        max_length=8,
        choices=VersionPolicy.choices,
        default=VersionPolicy.DEFAULT,
        help_text=_("What becomes of a new version once it has passed its validation."),
    )
    keep_latest = bounded(
        0,
        0,
        64,
        _("The newest ready versions that stay loaded, one instance each. Larger: more memory. 0: only the default."),
    )
    rollback_window_s = bounded(
        300,
        0,
        86_400,
        _("How long a replaced default version stays loaded, so that going back to it is instant."),
    )
    cache_enabled = models.BooleanField(
        default=True,
        help_text=_("Answer repeated inputs from memory. Ignored for versions that are not cacheable."),
    )
    cache_max_mib = bounded(64, 1, 65_536, _("Memory for cached answers. Larger: more hits, less memory for models."))
    cache_ttl_s = bounded(0, 0, 31_536_000, _("Age at which a cached answer is dropped. 0: never."))
    cache_eviction = models.CharField(
        max_length=16,
        choices=EvictionChoice.choices,
        default=EvictionChoice.S3_FIFO,
        help_text=_("Which kept answer goes first when the cache is full."),
    )
    cache_shared = models.BooleanField(
        default=False,
        help_text=_(
            "Give an answer that one tenant asked for to all others, too. Off: each meets only its own, so no "
            "one learns from a fast answer what others asked."
        ),
    )
    cache_keep_nan = models.BooleanField(default=False, help_text=_("Keep answers that hold NaN, too."))
    cache_second_level = models.BooleanField(
        default=False,
        help_text=_("Share kept answers with other servers through Redis, where the server has one for it."),
    )
    objective = models.CharField(
        max_length=20,
        choices=ObjectiveChoice.choices,
        default=ObjectiveChoice.LOWEST_LATENCY,
        help_text=_("What tuning of this model aims at."),
    )
    latency_quantile = models.PositiveSmallIntegerField(
        choices=LatencyQuantile.choices,
        default=LatencyQuantile.P99,
        help_text=_("Which percentile of latency is held to the target."),
    )
    latency_target_ms = bounded(
        0,
        0,
        3_600_000,
        _("Latency to hold, in ms. Larger: fewer instances and fuller batches do. 0: no target."),
    )
    tuning_modes = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_modes],
        help_text=_(
            "What tuning does with each knob: off, advise or automatic. A knob that is not named is advised on."
        ),
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
            errors["latency_target_ms"] = _("The lowest cost needs a latency to hold: set a target above 0.")
        if self.min_instances > self.max_instances:
            errors["min_instances"] = _("The minimum may not exceed the maximum number of instances.")
        if self.default_timeout_ms > self.max_timeout_ms:
            errors["default_timeout_ms"] = _("The default timeout may not exceed the longest timeout.")
        if self.default_priority > self.priority_levels:
            errors["default_priority"] = _("The default priority may not lie beyond the number of levels.")
        for name in ("preferred_batch_rows", "padded_batch_rows"):
            given = getattr(self, name)  # may hold anything: the field's own rule speaks first, and this one besides
            if isinstance(given, list) and any(type(size) is int and size > self.max_batch_rows for size in given):
                errors[name] = _("No size may exceed the largest batch.")
        if errors:
            raise ValidationError(errors)


class PolicyRevision(models.Model):
    """One change of a policy: what it was before and after, by whom. Kept so that any of them can be gone back to."""

    model = models.ForeignKey(Model, on_delete=models.CASCADE, related_name="policy_revisions")
    revision = models.PositiveBigIntegerField()
    at = models.DateTimeField(auto_now_add=True)
    actor = models.CharField(max_length=200)
    changes = models.JSONField(help_text=_("{field: [before, after]}"))
    values = models.JSONField(help_text=_("Every field that can be set, as it was after the change."))

    class Meta:
        ordering = ["-revision"]
        constraints = [models.UniqueConstraint(fields=["model", "revision"], name="unique_policy_revision")]

    def __str__(self) -> str:
        return f"{self.model}: revision {self.revision}"
