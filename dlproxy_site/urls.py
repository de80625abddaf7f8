"""The site's URLs: the admin API under /api/v1/, the pages at the root. `/v2` never comes here (dlproxy_site.asgi)."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("api/v1/", include("models_admin.api.urls")),
    path("", include("models_admin.dashboard.urls")),
]

handler400 = "models_admin.dashboard.failures.bad_request"
handler403 = "models_admin.dashboard.failures.not_allowed"
handler404 = "models_admin.dashboard.failures.not_found"
handler500 = "models_admin.dashboard.failures.server_error"
