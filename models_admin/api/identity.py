"""The caller of a view as the services' Actor and as the data plane's Principal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models_admin.models import ApiKey
from models_admin.publishing.snapshot import tenant_of
from models_admin.services import keys
from models_admin.services.actors import Actor, user_actor
from proxy.core.principals import Principal

if TYPE_CHECKING:
    from rest_framework.request import Request


def actor_of(request: Request) -> Actor:
    """Whom the audit log names and whose rights a service checks."""
    remote_addr = request.META.get("REMOTE_ADDR") or None
    if not isinstance(request.auth, ApiKey):
        return user_actor(request.user, remote_addr)
    key = request.auth
    return Actor(
        label=f"key:{key.name}",
        is_admin=key.administers,
        may_upload_code=keys.gives_code(key),
        remote_addr=remote_addr,
        user_id=key.created_by_id,  # what a key makes belongs to the account that made the key
        ends_at=key.expires_at,
        key_id=key.pk,
    )


def principal_id(request: Request) -> str:
    """`user:<id>` or `key:<id>`: names may be given anew, ids are not."""
    return f"key:{request.auth.pk}" if isinstance(request.auth, ApiKey) else f"user:{request.user.pk}"


def principal_of(request: Request) -> Principal:
    """Whom the data plane answers: a key within its models, a dashboard user on every model."""
    if not isinstance(request.auth, ApiKey):
        user = request.user
        name = principal_id(request)
        return Principal(name, f"user:{user.get_username()}", models=None, is_admin=user.is_staff, tenant=name)
    key = request.auth
    models = None if key.all_models else frozenset(key.models.values_list("name", flat=True))
    return Principal(
        principal_id(request),
        key.name,
        models,
        is_admin=key.administers,
        weight=key.weight,
        tenant=tenant_of(key),
        requests_per_s=key.requests_per_s,
    )
