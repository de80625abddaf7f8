"""Tables of the control plane."""

from models_admin.models.access import ApiKey, AuditEvent
from models_admin.models.control import ConfigurationGeneration, ControlLease, Decision, NodeStatus, ScalingState
from models_admin.models.measurements import MachineSample, MetricSample
from models_admin.models.policy import Policy
from models_admin.models.registry import Model, ModelVersion, ValidationStep
from models_admin.models.rollouts import GoldenSample, Rollout, VersionLabel

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
    "Rollout",
    "ScalingState",
    "ValidationStep",
    "VersionLabel",
]
