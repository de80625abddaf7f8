"""Credential → principal → right. Pure (the time is an argument); called before the body is read.

Rules: fails closed; the words never say whether a key was unknown, expired or revoked, nor whether a model
that the key may not ask exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.authorization.keys import KEY_PATTERN, bearer, digest_hex
from proxy.core.errors import NotFound, Reason, Unauthenticated
from proxy.core.principals import KEY_PRINCIPAL, Principal
from proxy.core.snapshot import KeySnapshot, Snapshot

# Spellings of good headers that are kept. Larger: more clients' keys are hashed once only; about 300 bytes each.
MAX_RECOGNISED = 10_000
# The longest spelling that is kept: a header may have as many spaces as a head has room for.
MAX_KEPT_BYTES = 128
FOREVER = float("inf")


def authenticate(
    authorization: bytes | None, api_key: bytes | None, snapshot: Snapshot, now_unix_s: float
) -> Principal:
    """The caller. `api_key` is a bare key from elsewhere than the Authorization header. Raises Unauthenticated."""
    if authorization is None and api_key is None:
        raise Unauthenticated(Reason.UNAUTHENTICATED, "Send an API key as `Authorization: Bearer dlp_…`.")
    if authorization is not None:
        key = bearer(authorization)
        if api_key is not None and api_key != key:
            raise Unauthenticated(Reason.UNAUTHENTICATED, "Two different credentials were sent.")
    else:
        key = api_key if api_key is not None and KEY_PATTERN.fullmatch(api_key) else None
    if key is None:
        raise Unauthenticated(Reason.UNAUTHENTICATED, "The credential is not an API key of the form `Bearer dlp_…`.")
    found = snapshot.keys.get(digest_hex(key))
    if found is None or (found.expires_at_unix_s is not None and now_unix_s >= found.expires_at_unix_s):
        raise Unauthenticated(Reason.UNAUTHENTICATED, "The API key is unknown, expired or revoked.")
    principal_id = f"{KEY_PRINCIPAL}{found.key_id}"
    tenant = found.tenant or principal_id
    return Principal(
        principal_id, found.label, found.models, found.is_admin, found.weight, tenant, found.requests_per_s
    )


class Recognised:
    """Callers that were authenticated under the present keys, so that a client's key is hashed once and not each time.

    Forgets everyone when the snapshot brings other keys; an expiry is looked at each time. Only good keys are kept, so
    a stranger cannot fill it.
    """

    def __init__(self) -> None:
        self._keys: Mapping[str, KeySnapshot] | None = None
        self._callers: dict[bytes, tuple[Principal, float]] = {}

    def authenticate(self, authorization: bytes | None, snapshot: Snapshot, now_unix_s: float) -> Principal:
        """The caller, as `authenticate` finds it. Raises Unauthenticated."""
        if snapshot.keys is not self._keys:
            self._keys = snapshot.keys
            self._callers.clear()
        if authorization is not None:
            known = self._callers.get(authorization)
            if known is not None and now_unix_s < known[1]:
                return known[0]
        principal = authenticate(authorization, None, snapshot, now_unix_s)
        if authorization is not None and len(authorization) <= MAX_KEPT_BYTES and len(self._callers) < MAX_RECOGNISED:
            key = snapshot.keys[digest_hex(bearer(authorization) or b"")]
            expiry_unix_s = FOREVER if key.expires_at_unix_s is None else key.expires_at_unix_s
            self._callers[authorization] = (principal, expiry_unix_s)
        return principal

    def is_lasting(self, authorization: bytes | None) -> bool:
        """True for a key that was recognised under the present keys and does not expire."""
        known = self._callers.get(authorization) if authorization is not None else None
        return known is not None and known[1] == FOREVER


def authorise(principal: Principal, model: str) -> None:
    """Let the caller ask `model`, or raise `unknown_model`: a key restricted to models learns nothing of others."""
    if not principal.may_infer(model):
        raise unknown_model(model)


def unknown_model(model: str) -> NotFound:
    """The one error for a model that does not exist and for one that the caller may not know of."""
    shown = model if len(model) <= 128 else model[:128] + "…"
    return NotFound(Reason.UNKNOWN_MODEL, f'There is no model "{shown}".')
