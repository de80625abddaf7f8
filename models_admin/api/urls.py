"""Routes of the admin API, below /api/v1/. Names are those of the `api` namespace."""

from __future__ import annotations

from django.urls import path, re_path

import models_admin.selectors.paths  # noqa: F401  registers <model:…> and <number:…>
from models_admin.api import (
    caching,
    capacity,
    decisions,
    docs,
    golden,
    history,
    infer,
    instances,
    keys,
    labels,
    logs,
    models,
    policies,
    policy_history,
    requests,
    rollout_actions,
    rollouts,
    tuning,
    versions,
)

app_name = "api"
urlpatterns = [
    path("models", models.ModelListView.as_view(), name="models"),
    path("models/<model:name>", models.ModelView.as_view(), name="model"),
    path("models/<model:name>/load", models.LoadView.as_view(), name="load"),
    path("models/<model:name>/unload", models.UnloadView.as_view(), name="unload"),
    path("models/<model:name>/instances", models.InstanceCountView.as_view(), name="instance-count"),
    path("models/<model:name>/policy", policies.PolicyView.as_view(), name="policy"),
    path("models/<model:name>/policy/history", policy_history.PolicyHistoryView.as_view(), name="policy-history"),
    path("models/<model:name>/policy/revert", policy_history.PolicyRevertView.as_view(), name="policy-revert"),
    path("models/<model:name>/tuning", tuning.ModelTuningView.as_view(), name="model-tuning"),
    path("models/<model:name>/capacity", capacity.CapacityView.as_view(), name="capacity"),
    path("models/<model:name>/cache", caching.CacheView.as_view(), name="cache"),
    path("cache", caching.CachesView.as_view(), name="caches"),
    path("models/<model:name>/infer", infer.InferView.as_view(), name="infer"),
    path("models/<model:name>/labels", labels.LabelListView.as_view(), name="labels"),
    path("models/<model:name>/labels/<label:label>", labels.LabelView.as_view(), name="label"),
    path("models/<model:name>/rollback", rollout_actions.RollbackView.as_view(), name="rollback"),
    path("models/<model:name>/rollouts", rollouts.RolloutListView.as_view(), name="rollouts"),
    path("models/<model:name>/rollouts/<number:rollout_id>", rollouts.RolloutView.as_view(), name="rollout"),
    *(
        path(f"models/<model:name>/rollouts/<number:rollout_id>/{action}", view.as_view(), name=f"rollout-{action}")
        for action, view in (
            ("advance", rollout_actions.AdvanceView),
            ("hold", rollout_actions.HoldView),
            ("resume", rollout_actions.ResumeView),
            ("promote", rollout_actions.PromoteRolloutView),
            ("abort", rollout_actions.AbortView),
            ("cancel", rollout_actions.CancelView),
        )
    ),
    path("models/<model:name>/versions", versions.VersionListView.as_view(), name="versions"),
    path("models/<model:name>/versions/<number:number>", versions.VersionView.as_view(), name="version"),
    path("models/<model:name>/versions/<number:number>/promote", versions.PromoteView.as_view(), name="promote"),
    path("models/<model:name>/versions/<number:number>/archive", versions.ArchiveView.as_view(), name="archive"),
    path("models/<model:name>/versions/<number:number>/restore", versions.RestoreView.as_view(), name="restore"),
    path("models/<model:name>/versions/<number:number>/validate", versions.ValidateView.as_view(), name="validate"),
    path("models/<model:name>/versions/<number:number>/infer", infer.InferVersionView.as_view(), name="infer-version"),
    path("models/<model:name>/versions/<label:label>/infer", infer.InferLabelView.as_view(), name="infer-label"),
    path("models/<model:name>/versions/<number:number>/golden", golden.GoldenListView.as_view(), name="golden"),
    path(
        "models/<model:name>/versions/<number:number>/golden/record",
        golden.GoldenRecordView.as_view(),
        name="golden-record",
    ),
    path(
        "models/<model:name>/versions/<number:number>/golden/<number:sample_id>",
        golden.GoldenView.as_view(),
        name="golden-sample",
    ),
    path("keys", keys.KeyListView.as_view(), name="keys"),
    path("keys/<number:key_id>", keys.KeyView.as_view(), name="key"),
    path("instances", instances.InstanceListView.as_view(), name="instances"),
    path("requests", requests.RequestListView.as_view(), name="requests"),
    path("metrics/history", history.MetricHistoryView.as_view(), name="metric-history"),
    path("machine/history", history.MachineHistoryView.as_view(), name="machine-history"),
    path("tuning", tuning.SwitchView.as_view(), name="tuning"),
    path("decisions", decisions.DecisionListView.as_view(), name="decisions"),
    path("decisions/<number:decision_id>/apply", decisions.ApplyView.as_view(), name="decision-apply"),
    path("decisions/<number:decision_id>/dismiss", decisions.DismissView.as_view(), name="decision-dismiss"),
    path("decisions/<number:decision_id>/undo", decisions.UndoView.as_view(), name="decision-undo"),
    path("audit", logs.AuditListView.as_view(), name="audit"),
    path("nodes", logs.NodeListView.as_view(), name="nodes"),
    path("schema", docs.SchemaView.as_view(), name="schema"),
    path("docs/", docs.DocsView.as_view(), name="docs"),
    re_path(r"", docs.UnknownRouteView.as_view(), name="unknown"),
]
