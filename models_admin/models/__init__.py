"""Tables of the control plane."""

from models_admin.models.access import ApiKey, AuditEvent
from models_admin.models.control import (
    ConfigurationGeneration,
    ControlLease,
    Decision,
    NodeStatus,
    ScalingState,
    TuningState,
    TuningSwitch,
)
from models_admin.models.measurements import MachineSample, MetricSample
from models_admin.models.policy import Policy, PolicyRevision
from models_admin.models.registry import Model, ModelVersion, ValidationStep
from models_admin.models.rollouts import GoldenSample, Rollout, VersionLabel
from models_admin.models.uploads import Upload

__all__ = [
    "ApiKey",
    "AuditEvent",
    "ConfigurationGeneration",
    "ControlLease",
    "Decision",
    "GoldenSample",
    "MachineSample",
    "MetricSample",
    "Model",
    "ModelVersion",
    "NodeStatus",
    "Policy",
    "PolicyRevision",
    "Rollout",
    "ScalingState",
    "TuningState",
    "TuningSwitch",
    "Upload",
    "ValidationStep",
    "VersionLabel",
]
