"""Who calls the admin API: an API key in `Authorization: Bearer`, or a dashboard session with its CSRF token.

Rules: a key is looked up by the SHA-256 of the whole secret, so the work is the same for every key that is not
good and nothing secret is compared byte by byte; unknown, revoked and expired keys, and those of an account that is
switched off, get the same words. A request
that carries a Bearer header is judged by it alone: a bad key never falls back to the browser's session.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import OperationalError
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions

from models_admin.models import ApiKey
from models_admin.services import keys, page_login

if TYPE_CHECKING:
    from rest_framework.request import Request

log = logging.getLogger(__name__)

USE_NOTED_EACH = timedelta(minutes=1)
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
        return self.key.administers

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
        _note_use(key)
        return KeyIdentity(key), key

    def authenticate_header(self, request: Request) -> str:
        """What a 401 says in WWW-Authenticate."""
        del request
        return 'Bearer realm="dlproxy"'


def find_key(secret: str) -> ApiKey | None:
    """The valid key whose secret this is: one digest and one indexed look-up, whatever was sent."""
    digest = hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
    key = ApiKey.objects.select_related("created_by").filter(digest=digest).first()
    return key if key is not None and keys.state_of(key, timezone.now()) == keys.KeyState.ACTIVE else None


def _note_use(key: ApiKey) -> None:
    """Remember the use once a minute. A database that cannot be written now is no reason to refuse a read."""
    now = timezone.now()
    if key.last_used_at is not None and now - key.last_used_at < USE_NOTED_EACH:
        return
    try:
        keys.note_use(key=key, at=now)
    except OperationalError as error:
        log.warning("the use of key %s could not be noted: %s", key.pk, error)


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
            check = authentication.CSRFCheck(_no_response)
            check.process_request(http_request)
            reason = check.process_view(http_request, _no_response, (), {})
        finally:
            if not parsed_before:
                del http_request._post, http_request._files
        if reason:
            raise exceptions.PermissionDenied(
                _("CSRF check failed: %(reason)s") % {"reason": reason}, code="csrf_failed"
            )
        if page_login.is_of_another(http_request, with_form=False):
            raise exceptions.PermissionDenied(page_login.words(http_request), code=page_login.CODE)


def _no_response(request: HttpRequest) -> Any:
    """The view that the check stands before: none, only the verdict is wanted."""
    del request


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
