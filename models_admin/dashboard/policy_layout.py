"""In which group of the policy's page each field stands. What a field is called: models/policy_words.py."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

GROUPS = (
    (
        _("Objective and tuning"),
        (
            "objective",
            "latency_target_ms",
            "latency_quantile",
            "tuning_modes",
        ),
    ),
    (
        _("Batching and placement"),
        (
            "max_batch_rows",
            "max_queue_delay_ms",
            "preferred_batch_rows",
            "padded_batch_rows",
            "oversize",
            "placement",
        ),
    ),
    (
        _("Queue and deadlines"),
        (
            "max_queue_requests",
            "max_queue_requests_per_priority",
            "priority_levels",
            "default_priority",
            "ageing_ms",
            "default_timeout_ms",
            "max_timeout_ms",
            "fair_share",
            "contended_rows",
        ),
    ),
    (
        _("Admission and retries"),
        (
            "concurrency_limit",
            "retry_budget_percent",
            "adaptive_limit",
        ),
    ),
    (
        _("Scaling"),
        (
            "autoscale",
            "min_instances",
            "max_instances",
            "target_utilisation_percent",
            "target_queue_wait_ms",
            "scale_down_delay_s",
            "scale_to_zero_after_s",
            "wake_timeout_s",
        ),
    ),
    (
        _("Instances"),
        (
            "device",
            "threads_per_instance",
            "memory_limit_mib",
            "execution_timeout_ms",
            "load_timeout_s",
        ),
    ),
    (
        _("Versions"),
        (
            "version_policy",
            "keep_latest",
            "rollback_window_s",
        ),
    ),
    (
        _("Result cache"),
        (
            "cache_enabled",
            "cache_max_mib",
            "cache_ttl_s",
            "cache_eviction",
            "cache_shared",
            "cache_keep_nan",
            "cache_second_level",
        ),
    ),
)
"""Title and fields of each group, as they stand on the page. Pairs: a translated title is no key."""
