"""Who calls the admin API: an API key in `Authorization: Bearer`, or a dashboard session with its CSRF token.

Rules: a key is looked up by the SHA-256 of the whole secret, so the work is the same for every key that is not
good and nothing secret is compared byte by byte; unknown, revoked and expired keys get the same words. A request
that carries a Bearer header is judged by it alone: a bad key never falls back to the browser's session.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions

from models_admin.models import ApiKey
from models_admin.models.access import KeyScope

if TYPE_CHECKING:
    from rest_framework.request import Request

SCHEME = "bearer"
REFUSED = "This API key is unknown, expired or revoked."


@dataclass(frozen=True)
class KeyIdentity:
    """The `request.user` of a call made with a key; not a row of the user table."""

    key: ApiKey

    is_authenticated = True
    is_anonymous = False
    is_active = True
    pk = None

    @property
    def is_staff(self) -> bool:
        """True for a key that may administer."""
        return self.key.scope == KeyScope.ADMIN

    @property
    def username(self) -> str:
        """Label of the key in logs."""
        return f"key:{self.key.name}"


class KeyAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer dlp_…`; the scope's rights are checked by the permissions."""

    def authenticate(self, request: Request) -> tuple[KeyIdentity, ApiKey] | None:
        """Identity and key of a good key, None without a Bearer header, AuthenticationFailed for a bad one."""
        scheme, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != SCHEME:
            return None
        key = find_key(secret.strip())
        if key is None:
            raise exceptions.AuthenticationFailed(REFUSED)
        return KeyIdentity(key), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 says in WWW-Authenticate."""
        del request
        return 'Bearer realm="dlproxy"'


def find_key(secret: str) -> ApiKey | None:
    """The valid key whose secret this is: one digest and one indexed look-up, whatever was sent."""
    digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    key = ApiKey.objects.filter(digest=digest).first()
    expired = key is not None and key.expires_at is not None and key.expires_at <= timezone.now()
    if key is None or key.revoked_at is not None or expired:
        return None
    return key


class SessionWithToken(authentication.SessionAuthentication):
    """A dashboard session. Changes need the CSRF token in the `X-CSRFToken` header.

    The token is taken from the header only: Django would look into the form first and so read a whole upload
    before the caller's rights are known.
    """

    def enforce_csrf(self, request: Request) -> None:
        """Raise PermissionDenied unless origin and token are right."""
        http_request: HttpRequest = request._request
        parsed_before = hasattr(http_request, "_post")
        if not parsed_before:
            http_request._post, http_request._files = QueryDict(), MultiValueDict()
        try:
            super().enforce_csrf(request)
        except DjangoPermissionDenied as error:  # pragma: no cover - DRF raises its own
            raise exceptions.PermissionDenied(str(error)) from error
        finally:
            if not parsed_before:
                del http_request._post, http_request._files


class KeyScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document shows a key."""

    target_class = KeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """The security scheme object."""
        del auto_schema
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A key made under /keys/. Scope `admin` opens everything, scope `inference` only infer.",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document shows a dashboard session."""

    target_class = SessionWithToken
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """The security scheme object."""
        del auto_schema
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "dlproxy_session",
            "description": "The dashboard's session; changes need its CSRF token in the X-CSRFToken header.",
        }
