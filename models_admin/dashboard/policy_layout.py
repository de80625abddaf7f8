"""What the policy's page calls each field, in which group it stands, and its unit."""

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
UNITS = {
    "_ms": "ms",
    "_s": "s",
    "_mib": "MiB",
    "_percent": "%",
    "_rows": _("rows"),
    "_requests": _("requests"),
    "_requests_per_priority": _("requests"),
    "_instances": _("instances"),
    "threads_per_instance": _("threads"),
    "priority_levels": _("levels"),
    "keep_latest": _("versions"),
    "concurrency_limit": _("requests"),
}
"""Unit by the ending of a field's name; the first that fits counts."""
LABELS = {
    "max_batch_rows": _("Largest batch"),
    "max_queue_delay_ms": _("Longest wait for company"),
    "preferred_batch_rows": _("Preferred sizes"),
    "padded_batch_rows": _("Pad to sizes"),
    "oversize": _("Requests larger than a batch"),
    "max_queue_requests": _("Queue length"),
    "max_queue_requests_per_priority": _("Queue length of one priority"),
    "priority_levels": _("Priority levels"),
    "default_priority": _("Default priority"),
    "ageing_ms": _("Ageing"),
    "fair_share": _("Fair share between keys"),
    "adaptive_limit": _("Adaptive concurrency limit"),
    "retry_budget_percent": _("Retry budget"),
    "default_timeout_ms": _("Default timeout"),
    "max_timeout_ms": _("Longest timeout"),
    "execution_timeout_ms": _("Execution timeout"),
    "load_timeout_s": _("Load timeout"),
    "device": _("Device"),
    "threads_per_instance": _("Threads per instance"),
    "memory_limit_mib": _("Memory limit"),
    "autoscale": _("Scale by measured load"),
    "min_instances": _("Fewest instances"),
    "max_instances": _("Most instances"),
    "target_utilisation_percent": _("Target utilisation"),
    "target_queue_wait_ms": _("Target wait in the queue"),
    "scale_down_delay_s": _("Scale-down delay"),
    "scale_to_zero_after_s": _("Sleep when unused for"),
    "wake_timeout_s": _("Longest wait for waking"),
    "version_policy": _("New versions"),
    "keep_latest": _("Newest versions kept loaded"),
    "rollback_window_s": _("Keep the replaced version warm"),
    "cache_enabled": _("Cache answers"),
    "cache_max_mib": _("Cache size"),
    "cache_ttl_s": _("Longest age"),
    "concurrency_limit": _("Concurrency limit"),
    "placement": _("Placement"),
    "cache_eviction": _("What goes first when full"),
    "cache_shared": _("Share answers between tenants"),
    "cache_keep_nan": _("Keep answers with NaN"),
    "cache_second_level": _("Second level"),
    "objective": _("Objective"),
    "latency_target_ms": _("Latency target"),
    "latency_quantile": _("Percentile of the target"),
    "tuning_modes": _("Modes of tuning"),
}
