"""What each kind of caller may do: a policy of every route, declared in the view class itself.

| caller | ReadOrStaff: read | ReadOrStaff: change | AdminsOnly | InferencePolicy | AnyCaller |
|---|---|---|---|---|---|
| nobody | 401 | 401 | 401 | 401 | 401 |
| dashboard user | yes | 403 | 403 | yes | yes |
| staff user, admin key | yes | yes | 403 | yes | yes |
| admin, and an admin key of theirs | yes | yes | yes | yes | yes |
| inference key | 403 | 403 | 403 | on its models | yes |

`tests/security/test_api_matrix.py` walks the URL configuration and fails on a view without one of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission

from models_admin.api.authentication import KeyIdentity

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class ReadOrStaff(BasePermission):
    """Every dashboard user reads; staff users and admin keys change."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True if this caller may use this method."""
        del view
        if not request.user or not request.user.is_authenticated:
            return False
        if request.user.is_staff:
            return True
        if isinstance(request.user, KeyIdentity):
            self.message = "This key is for inference only; administration needs a key of scope admin."
            return False
        self.message = "Only staff may change things; ask an administrator for the right."
        return request.method in SAFE_METHODS


class AdminsOnly(BasePermission):
    """Admins, and administration keys that an admin made: who manages accounts could make itself anything.

    An operator may make administration keys, too, so the scope alone does not do.
    """

    message = "Only admins manage accounts, by their session or by an administration key of theirs."

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True if this caller manages accounts."""
        del view
        caller = request.user
        if isinstance(caller, KeyIdentity):
            owner = caller.key.created_by
            return caller.is_staff and owner is not None and owner.is_superuser
        return bool(caller and caller.is_authenticated and caller.is_superuser)


class InferencePolicy(BasePermission):
    """Every authenticated caller may ask; the data plane holds a key to its models, as on the inference port."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """True if this caller may send an inference body."""
        del view
        return bool(request.user and request.user.is_authenticated)


class AnyCaller(InferencePolicy):
    """Every authenticated caller: the description of the API itself."""


class Public(BasePermission):
    """Open to strangers: answers that hold nothing of anybody's (an unknown route)."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Always True."""
        del request, view
        return True


POLICIES = (ReadOrStaff, AdminsOnly, InferencePolicy, AnyCaller, Public)
