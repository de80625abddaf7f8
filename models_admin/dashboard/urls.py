"""URLs of the pages, grouped by resource."""

from __future__ import annotations

from django.urls import path

from models_admin.dashboard import (
    audit,
    decisions,
    first_run,
    keys,
    login,
    model,
    new_model,
    overview,
    policy,
    system,
    try_it,
    version,
    versions,
)

VERSION = "models/<str:name>/versions/<int:number>"

urlpatterns = [
    path("", overview.overview, name="overview"),
    path("problems/", overview.problems_part, name="problems"),
    path("first-run/delete/", first_run.delete, name="first-run-delete"),
    path("login/", login.Login.as_view(), name="login"),
    path("logout/", login.Logout.as_view(), name="logout"),
    path("models/new", new_model.new_model, name="new-model"),
    path("models/<str:name>/", model.live, name="model"),
    path("models/<str:name>/load/", model.load, name="model-load"),
    path("models/<str:name>/unload/", model.unload, name="model-unload"),
    path("models/<str:name>/instances/", model.set_instances, name="model-instances"),
    path("models/<str:name>/describe/", model.describe, name="model-describe"),
    path("models/<str:name>/delete/", model.delete, name="model-delete"),
    path("models/<str:name>/try/", try_it.try_it, name="model-try"),
    path("models/<str:name>/policy/", policy.policy, name="model-policy"),
    path("models/<str:name>/policy/save/", policy.save, name="model-policy-save"),
    path("models/<str:name>/decisions/", decisions.model_decisions, name="model-decisions"),
    path("models/<str:name>/versions/", versions.versions, name="model-versions"),
    path("models/<str:name>/versions/list/", versions.versions_part, name="model-versions-part"),
    path(f"{VERSION}/", version.version, name="version"),
    path(f"{VERSION}/steps/", version.steps_part, name="version-steps"),
    path(f"{VERSION}/keep/", version.keep_loaded, name="version-keep"),
    path(f"{VERSION}/notes/", version.notes, name="version-notes"),
    path(f"{VERSION}/delete/", version.delete, name="version-delete"),
    *[path(f"{VERSION}/{name}/", version.act, {"action": name}, name=f"version-{name}") for name in version.ACTIONS],
    path("keys/", keys.keys, name="keys"),
    path("keys/create/", keys.create, name="key-create"),
    path("keys/<int:key_id>/revoke/", keys.revoke, name="key-revoke"),
    path("decisions/", decisions.decisions, name="decisions"),
    path("audit/", audit.audit, name="audit"),
    path("system/", system.system, name="system"),
]
