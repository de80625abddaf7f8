"""Reads of the control plane's tables. Nothing here writes."""

from models_admin.selectors.artifacts import artifact_path
from models_admin.selectors.control import NodeView, audit_events, decisions, keys, nodes, policy_history
from models_admin.selectors.registry import (
    Listed,
    model_detail,
    models_listed,
    models_overview,
    targets_and_counts,
    version,
    versions,
)

__all__ = [
    "Listed",
    "NodeView",
    "artifact_path",
    "audit_events",
    "decisions",
    "keys",
    "model_detail",
    "models_listed",
    "models_overview",
    "nodes",
    "policy_history",
    "targets_and_counts",
    "version",
    "versions",
]
