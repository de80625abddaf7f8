"""URLs of the pages, grouped by resource. A model's name is one by its pattern, before it reaches a query."""

from __future__ import annotations

from django.urls import path
from django.views.i18n import set_language

import models_admin.selectors.paths  # noqa: F401  registers <model:…> and <number:…>
from models_admin.dashboard import (
    audit,
    cache,
    capacity,
    first_run,
    golden,
    instances,
    keys,
    login,
    model,
    new_model,
    overview,
    policy,
    policy_history,
    requests,
    rollout,
    styleguide,
    system,
    try_it,
    tuning,
    tuning_changes,
    users,
    version,
    versions,
)

VERSION = "models/<model:name>/versions/<number:number>"
REVISION = "models/<model:name>/policy/history/<number:number>"
DECISION = "tuning/decisions/<number:decision_id>"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("problems/", overview.problems_part, name="problems"),
    path("first-run/delete/", first_run.delete, name="first-run-delete"),
    path("login/", login.Login.as_view(), name="login"),
    path("logout/", login.Logout.as_view(), name="logout"),
    path("language/", set_language, name="language"),  # POST, CSRF-checked; for visitors without a login, too
    path("models/new", new_model.new_model, name="new-model"),
    path("models/<model:name>/", model.live, name="model"),
    path("models/<model:name>/load/", model.load, name="model-load"),
    path("models/<model:name>/unload/", model.unload, name="model-unload"),
    path("models/<model:name>/instances/", model.set_instances, name="model-instances"),
    path("models/<model:name>/describe/", model.describe, name="model-describe"),
    path("models/<model:name>/delete/", model.delete, name="model-delete"),
    path("models/<model:name>/try/", try_it.try_it, name="model-try"),
    path("models/<model:name>/policy/", policy.policy, name="model-policy"),
    path("models/<model:name>/policy/preview/", policy.preview, name="model-policy-preview"),
    path("models/<model:name>/policy/save/", policy.save, name="model-policy-save"),
    path("models/<model:name>/policy/history/", policy_history.history, name="model-policy-history"),
    path(f"{REVISION}/", policy_history.revision, name="model-policy-revision"),
    path(f"{REVISION}/revert/", policy_history.revert, name="model-policy-revert"),
    path("models/<model:name>/cache/", cache.cache, name="model-cache"),
    path("models/<model:name>/cache/now/", cache.cache_part, name="model-cache-part"),
    path("models/<model:name>/cache/purge/", cache.purge, name="model-cache-purge"),
    path("models/<model:name>/tuning/", tuning.model_tuning, name="model-tuning"),
    path("models/<model:name>/tuning/now/", tuning.now_part, name="model-tuning-now"),
    path("models/<model:name>/tuning/feed/", tuning.model_feed_part, name="model-tuning-feed"),
    path("models/<model:name>/tuning/mode/", tuning_changes.set_mode, name="model-tuning-mode"),
    path("models/<model:name>/capacity/", capacity.capacity_part, name="model-capacity"),
    path("models/<model:name>/decisions/", tuning.moved, name="model-decisions"),
    path("models/<model:name>/requests/", requests.model_requests, name="model-requests"),
    path("models/<model:name>/versions/", versions.versions, name="model-versions"),
    path("models/<model:name>/versions/list/", versions.versions_part, name="model-versions-part"),
    path("models/<model:name>/rollout/", rollout.status_part, name="model-rollout-part"),
    path("models/<model:name>/rollout/start/", rollout.start, name="model-rollout-start"),
    path("models/<model:name>/rollout/weight/", rollout.weight, name="model-rollout-weight"),
    *[
        path(f"models/<model:name>/rollout/{name}/", rollout.act, {"action": name}, name=f"model-rollout-{name}")
        for name in rollout.ACTIONS
    ],
    path("models/<model:name>/roll-back/", rollout.roll_back, name="model-roll-back"),
    path("models/<model:name>/labels/set/", rollout.set_label, name="model-label-set"),
    path("models/<model:name>/labels/remove/", rollout.remove_label, name="model-label-remove"),
    path(f"{VERSION}/", version.version, name="version"),
    path(f"{VERSION}/steps/", version.steps_part, name="version-steps"),
    path(f"{VERSION}/keep/", version.keep_loaded, name="version-keep"),
    path(f"{VERSION}/notes/", version.notes, name="version-notes"),
    path(f"{VERSION}/golden/add/", golden.add, name="version-golden-add"),
    path(f"{VERSION}/golden/remove/", golden.remove, name="version-golden-remove"),
    path(f"{VERSION}/delete/", version.delete, name="version-delete"),
    *[path(f"{VERSION}/{name}/", version.act, {"action": name}, name=f"version-{name}") for name in version.ACTIONS],
    path("instances/", instances.instances, name="instances"),
    path("instances/<number:number>/", instances.instance, name="instance"),
    path("instances/<number:number>/restart/", instances.restart, name="instance-restart"),
    path("instances/<number:number>/drain/", instances.drain, name="instance-drain"),
    path("requests/", requests.requests, name="requests"),
    path("users/", users.users, name="users"),
    path("users/create/", users.create, name="user-create"),
    path("users/<number:user_id>/role/", users.set_role, name="user-role"),
    path("users/<number:user_id>/active/", users.set_active, name="user-active"),
    path("users/<number:user_id>/password/", users.new_password, name="user-password"),
    path("account/password/", users.password, name="password"),
    path("keys/", keys.keys, name="keys"),
    path("keys/create/", keys.create, name="key-create"),
    path("keys/<number:key_id>/revoke/", keys.revoke, name="key-revoke"),
    path("tuning/", tuning.tuning, name="tuning"),
    path("tuning/running/", tuning.running_part, name="tuning-running"),
    path("tuning/feed/", tuning.feed_part, name="tuning-feed"),
    path("tuning/freeze/", tuning_changes.freeze, name="tuning-freeze"),
    path("tuning/resume/", tuning_changes.resume, name="tuning-resume"),
    *[
        path(f"{DECISION}/{name}/", tuning_changes.act, {"action": name}, name=f"decision-{name}")
        for name in tuning_changes.ACTIONS
    ],
    path("decisions/", tuning.moved, name="decisions"),
    path("audit/", audit.audit, name="audit"),
    path("audit/export.csv", audit.export, {"form": "csv"}, name="audit-csv"),
    path("audit/export.jsonl", audit.export, {"form": "jsonl"}, name="audit-jsonl"),
    path("styleguide/", styleguide.styleguide, name="styleguide"),
    path("system/", system.system, name="system"),
]
