"""Accounts of people: made with a password that is shown once, given a role, switched off with their API keys. Audited.

Roles: a viewer looks at everything but this list; an operator changes models, versions, policies, keys and instances;
an admin manages accounts, too. Rules: nobody changes their own role or switches themselves off, and one active admin
always stays. A right that is taken away is gone with the person's next call, a live socket within seconds. Who acts
with a key that ends gives nobody what would not end with it: no account, password or larger role; taking away is free.
"""

from __future__ import annotations

import secrets

from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from models_admin.services import writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Forbidden, Invalid

PASSWORD_BYTES = 15


class Role(models.TextChoices):
    """What an account may do; each may what the one before it may."""

    VIEWER = "viewer", _("Viewer: looks")
    OPERATOR = "operator", _("Operator: changes models and keys")
    ADMIN = "admin", _("Admin: manages accounts, too")


RANK = {role: rank for rank, role in enumerate(Role)}
"""Each role's place: who has a larger one may do what the smaller ones may."""


def role_of(user: User) -> Role:
    """The role that Django's two flags stand for."""
    if user.is_superuser:
        return Role.ADMIN
    return Role.OPERATOR if user.is_staff else Role.VIEWER


@transaction.atomic
def create_user(*, actor: Actor, name: str, role: str) -> tuple[User, str]:
    """A new account and its password, which cannot be shown again. Forbidden to a key that ends."""
    _require_lasting(actor)
    user = get_user_model()(username=name)
    password = _new_password(user)
    _apply(user, _role(role))
    writing.check(user)
    user.save(force_insert=True)
    writing.audit(actor, "user.create", "user", user.username, role=role)
    return user, password


@transaction.atomic
def set_role(*, actor: Actor, user: User, role: str) -> User:
    """Give another role; a larger one is Forbidden to a key that ends. Idempotent."""
    wanted = _role(role)
    row = _locked(actor, user)
    before = role_of(row)
    if wanted is before:
        return row
    if RANK[wanted] > RANK[before]:
        _require_lasting(actor)
    if before is Role.ADMIN:
        _keep_an_admin(row)
    _apply(row, wanted)
    row.save(update_fields=["is_staff", "is_superuser"])
    writing.audit(actor, "user.role", "user", row.username, before=str(before), after=str(wanted))
    writing.publish()  # what its administration keys may do on the inference port follows
    return row


@transaction.atomic
def set_active(*, actor: Actor, user: User, active: bool) -> User:
    """Switch an account off or on again: its sessions end with their next call, its API keys stop. Idempotent.

    To switch one on is Forbidden to a key that ends.
    """
    row = _locked(actor, user)
    if row.is_active == active:
        return row
    if active:
        _require_lasting(actor)
    elif row.is_superuser:
        _keep_an_admin(row)
    row.is_active = active
    row.save(update_fields=["is_active"])
    writing.audit(actor, "user.activate" if active else "user.deactivate", "user", row.username)
    writing.publish()  # the data plane refuses the keys of an account that is off
    return row


@transaction.atomic
def new_password(*, actor: Actor, user: User) -> tuple[User, str]:
    """Another password, shown once; every session of the account ends. Forbidden to a key that ends."""
    _require_lasting(actor)
    row = _locked(actor, user)
    password = _new_password(row)
    row.save(update_fields=["password"])
    writing.audit(actor, "user.password", "user", row.username)
    return row, password


@transaction.atomic
def note_own_password(*, actor: Actor, user: User) -> None:
    """Record that somebody changed their own password."""
    writing.audit(actor, "user.own_password", "user", user.username)


def _require_lasting(actor: Actor) -> None:
    if actor.ends_at is not None:
        raise Forbidden(
            _("A key that ends gives no right that would outlast it: use one without an expiry, or log in."),
            code="would_outlast_the_key",
        )


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Invalid(_("Choose viewer, operator or admin."), field="role") from None


def _new_password(user: User) -> str:
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    user.set_password(password)
    return password


def _apply(user: User, role: Role) -> None:
    user.is_staff = role is not Role.VIEWER
    user.is_superuser = role is Role.ADMIN


def _locked(actor: Actor, user: User) -> User:
    """The row as it stands now, locked after all admins' rows: so two admins cannot remove each other at one time."""
    list(_admins().select_for_update().order_by("pk"))
    row = writing.lock(user)
    if row.pk == actor.user_id:
        raise Conflict(_("Nobody changes their own account here; ask another admin."))
    return row


def _keep_an_admin(leaving: User) -> None:
    if not _admins().exclude(pk=leaving.pk).exists():
        raise Conflict(_("This is the last active admin. Make another account an admin first."))


def _admins() -> models.QuerySet[User]:
    return get_user_model().objects.filter(is_superuser=True, is_active=True)
