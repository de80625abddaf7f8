"""API keys: made from 256 random bits, kept as their SHA-256, shown once."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import ApiKey, Model
from models_admin.models.access import KeyScope
from models_admin.services import writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Forbidden, Invalid

KEY_PREFIX = "dlp_"
SHOWN_CHARACTERS = 12
"""Characters of a key that are kept readable, to recognise it by: 8 of 43 random ones say nothing useful to a thief."""


def digest_of(secret: str) -> str:
    """What is stored and looked up: the SHA-256 of the whole key, hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


@transaction.atomic
def create_key(
    *,
    actor: Actor,
    name: str,
    scope: str,
    all_models: bool = True,
    models: Iterable[Model] = (),
    may_upload_code: bool = False,
    expires_at: datetime | None = None,
    weight: int = 1,
    tenant: str = "",
    requests_per_s: int = 0,
) -> tuple[ApiKey, str]:
    """A new key and its secret, which cannot be shown again.

    `weight` (1 to 100): its share of a busy model. `tenant`: on whose behalf it asks ("": its own). `requests_per_s`:
    how many requests it may send (0: no limit).
    """
    chosen = list(models)
    if not all_models and not chosen:
        raise Invalid(_("Choose at least one model, or allow all models."), field="models")
    if scope == KeyScope.ADMIN and not all_models:
        raise Invalid(_("An administration key opens every model."), field="all_models")
    if may_upload_code and scope != KeyScope.ADMIN:
        raise Invalid(_("Only administration keys may upload code."), field="may_upload_code")
    if may_upload_code and not actor.may_upload_code:
        raise Forbidden(_("You may not give a right that you do not have: uploading code."), field="may_upload_code")
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(_("The expiry lies in the past."), field="expires_at")
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        prefix=secret[:SHOWN_CHARACTERS],
        digest=digest_of(secret),
        scope=scope,
        all_models=all_models,
        may_upload_code=may_upload_code,
        created_by_id=actor.user_id,
        expires_at=expires_at,
        weight=weight,
        tenant=tenant,
        requests_per_s=requests_per_s,
    )
    writing.check(key)
    key.save(force_insert=True)
    if not all_models:
        key.models.set(chosen)
    rights = {"all_models": all_models, "may_upload_code": may_upload_code, "tenant": tenant}
    shares = {"weight": weight, "requests_per_s": requests_per_s}
    names = [model.name for model in chosen]
    writing.audit(actor, "key.create", "key", str(key.pk), name=name, scope=scope, models=names, **rights, **shares)
    writing.publish()
    return key, secret


@transaction.atomic
def revoke_key(*, actor: Actor, key: ApiKey) -> ApiKey:
    """End a key for good; the data plane refuses it as soon as it has read the change. Idempotent."""
    row = writing.lock(key)
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        writing.audit(actor, "key.revoke", "key", str(row.pk), name=row.name)
        writing.publish()
    return row


@transaction.atomic
def note_use(*, key: ApiKey, at: datetime, at_most_each_s: int = 60) -> None:
    """Remember when a key was last used; written at most once in `at_most_each_s` seconds. Not audited."""
    if key.last_used_at is None or (at - key.last_used_at).total_seconds() >= at_most_each_s:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
