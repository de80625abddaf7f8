"""Who acts: the user, key or part of the system that a change is made for and that the audit log names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Actor:
    """`label` is `user:ann`, `key:ci` or `system:autoscaler`. Services check rights that belong to the change itself
    (code uploads); whether the caller may write at all is decided at the door (API permissions, staff pages).
    `ends_at`: when its own right to act ends; nothing that it makes gives a right for longer. `key_id`: the key that it
    acts with, if it is one.
    """

    label: str
    is_admin: bool = False
    may_upload_code: bool = False
    remote_addr: str | None = None
    user_id: int | None = None
    ends_at: datetime | None = None
    key_id: int | None = None


def system_actor(part: str) -> Actor:
    """The actor of a part of the system itself, such as `autoscaler` or `validation`."""
    return Actor(label=f"system:{part}", is_admin=True, may_upload_code=True)


def user_actor(user: object, remote_addr: str | None = None) -> Actor:
    """The actor of a logged-in user: staff administer, and may upload code with the permission or as superuser."""
    return Actor(
        label=f"user:{user.get_username()}",  # type: ignore[attr-defined]
        is_admin=bool(user.is_staff),  # type: ignore[attr-defined]
        may_upload_code=bool(user.is_superuser or user.has_perm("models_admin.upload_code")),  # type: ignore[attr-defined]
        remote_addr=remote_addr,
        user_id=user.pk,  # type: ignore[attr-defined]
    )
