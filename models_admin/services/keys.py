"""API keys: made from 256 random bits, kept as their SHA-256, shown once."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from django.db import models as fields
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.models import ApiKey, Model
from models_admin.models.access import KeyScope
from models_admin.services import writing
from models_admin.services.actors import Actor, user_actor
from models_admin.services.errors import Forbidden, Invalid

KEY_PREFIX = "dlp_"
SHOWN_CHARACTERS = 12
"""Characters of a key that are kept readable, to recognise it by: 8 of 43 random ones say nothing useful to a thief."""


class KeyState(fields.TextChoices):
    """Whether a key opens anything, and if not, why."""

    ACTIVE = "active", gettext_lazy("Active")
    EXPIRED = "expired", gettext_lazy("Expired")
    SUSPENDED = "suspended", gettext_lazy("Account switched off")
    REVOKED = "revoked", gettext_lazy("Revoked")


def state_of(key: ApiKey, now: datetime) -> KeyState:
    """What the key is now. One that a switched-off account made is suspended until the account is switched on again."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    if key.expires_at is not None and key.expires_at <= now:
        return KeyState.EXPIRED
    owner = key.created_by
    return KeyState.ACTIVE if owner is None or owner.is_active else KeyState.SUSPENDED


def in_state(state: str, now: datetime) -> Q:
    """Which keys are in this state now."""
    expired, suspended = Q(expires_at__isnull=False, expires_at__lte=now), Q(created_by__is_active=False)
    alive = Q(revoked_at__isnull=True)
    return {
        KeyState.REVOKED: ~alive,
        KeyState.EXPIRED: alive & expired,
        KeyState.SUSPENDED: alive & ~expired & suspended,
        KeyState.ACTIVE: alive & ~expired & ~suspended,
    }[KeyState(state)]


def working_keys(now: datetime) -> dict[int, int]:
    """How many active keys each account made, by its id: what stops working when it is switched off."""
    rows = ApiKey.objects.filter(in_state(KeyState.ACTIVE, now), created_by__isnull=False)
    return dict(rows.order_by().values_list("created_by").annotate(count=Count("pk")))


def gives_code(key: ApiKey) -> bool:
    """Whether code may be uploaded with the key. A right that its account has lost is lost to it, too."""
    owner = key.created_by
    return key.administers and key.may_upload_code and (owner is None or user_actor(owner).may_upload_code)


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
    how many requests it may send (0: no limit). `expires_at`: None where the actor's own right has an end is that end,
    so that nobody prolongs a key with another.
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
    expires_at = _within(actor, expires_at)
    _hold_maker(actor)
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ApiKey(
        name=name,
        prefix=secret[:SHOWN_CHARACTERS],
        digest=digest_of(secret),
        scope=scope,
        all_models=all_models,
        may_upload_code=may_upload_code,
        created_by_id=actor.user_id,
        made_with_id=actor.key_id,
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


def _within(actor: Actor, expires_at: datetime | None) -> datetime | None:
    """The expiry of a key that the actor makes. Raises Forbidden where it lies beyond the actor's own."""
    if actor.ends_at is None or (expires_at is not None and expires_at <= actor.ends_at):
        return expires_at
    if expires_at is None:
        return actor.ends_at
    raise Forbidden(
        _("A key that is made with a key ends with it at the latest: %(end)s.") % {"end": actor.ends_at.isoformat()},
        field="expires_at",
    )


def _hold_maker(actor: Actor) -> None:
    """Lock the key that is asked with until the new one is kept: a revoke comes first, or sees what was made."""
    if actor.key_id is None:
        return
    maker = ApiKey.objects.select_for_update().filter(pk=actor.key_id, revoked_at=None)
    if not maker.values_list("pk", flat=True).first():
        raise Forbidden(_("The key that this was asked with is revoked."), code="key_revoked")


@transaction.atomic
def revoke_key(*, actor: Actor, key: ApiKey, with_made: bool = False) -> int:
    """End a key for good; the data plane refuses it as soon as it has read the change. Idempotent; how many ended.

    `with_made`: the keys that were made with it end, too, and those made with them: for a key that somebody else had.
    Without it they stay, so that a key is replaced by one that it made. One that is revoked already leads to its own.
    """
    ended, ending = 0, [key]
    while ending:
        one = ending.pop()
        ended += _revoke(actor, one)  # locked from here on, so nothing more is made with it
        if with_made:
            ending += ApiKey.objects.filter(made_with=one).order_by("pk")
    if ended:
        writing.publish()
    return ended


def made_and_working(now: datetime) -> dict[int, int]:
    """How many active keys were made with each key, directly or not, by its id."""
    parent_of = dict(ApiKey.objects.filter(made_with__isnull=False).values_list("pk", "made_with"))
    active = ApiKey.objects.filter(in_state(KeyState.ACTIVE, now), made_with__isnull=False)
    counts: Counter[int] = Counter()
    for pk in active.values_list("pk", flat=True):
        above = parent_of.get(pk)
        while above is not None:
            counts[above] += 1
            above = parent_of.get(above)
    return dict(counts)


def _revoke(actor: Actor, key: ApiKey) -> bool:
    row = writing.lock(key)
    if row.revoked_at is not None:
        return False
    row.revoked_at = timezone.now()
    row.save(update_fields=["revoked_at"])
    writing.audit(actor, "key.revoke", "key", str(row.pk), name=row.name)
    return True


@transaction.atomic
def note_use(*, key: ApiKey, at: datetime, at_most_each_s: int = 60) -> None:
    """Remember when a key was last used; written at most once in `at_most_each_s` seconds. Not audited."""
    if key.last_used_at is None or (at - key.last_used_at).total_seconds() >= at_most_each_s:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
