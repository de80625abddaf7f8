"""What a service refuses with. The API turns these into problem details, the pages into messages.

    ServiceError
      Invalid 400   Forbidden 403   NotFound 404   Conflict 409   Gone 410   PreconditionFailed 412   TooLarge 413
      Unprocessable 422   Locked 423   ChecksumMismatch 460   NoSpace 507

A message says which rule fired and how to mend it; `field` names the form field where one is at fault.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Root: nothing was changed. `status` is the HTTP status, `code` a stable word for programs."""

    status = 500
    default_code = "error"

    def __init__(self, message: str, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.code = code or self.default_code


class Invalid(ServiceError):
    """A value breaks a rule; do not retry unchanged."""

    status = 400
    default_code = "invalid"


class Forbidden(ServiceError):
    """The actor lacks the right."""

    status = 403
    default_code = "forbidden"


class NotFound(ServiceError):
    """The thing does not exist, or was deleted meanwhile."""

    status = 404
    default_code = "not_found"


class Conflict(ServiceError):
    """The thing's state does not allow this now."""

    status = 409
    default_code = "conflict"


class Gone(ServiceError):
    """The thing existed and has ended; begin anew."""

    status = 410
    default_code = "gone"


class PreconditionFailed(ServiceError):
    """Someone changed the thing since the caller read it; read again, then retry."""

    status = 412
    default_code = "changed_meanwhile"


class TooLarge(ServiceError):
    """The upload exceeds the configured limit."""

    status = 413
    default_code = "too_large"


class Unprocessable(ServiceError):
    """Well-formed, but the content does not agree with what was declared."""

    status = 422
    default_code = "unprocessable"


class Locked(ServiceError):
    """Someone else works on the thing right now; wait, read how far it is, then retry."""

    status = 423
    default_code = "locked"


class ChecksumMismatch(ServiceError):
    """The bytes are not those that were sent; send them again. The status is tus' own, not one of HTTP's."""

    status = 460
    default_code = "checksum_mismatch"


class NoSpace(ServiceError):
    """The disk or the quota is full; retry after space was made."""

    status = 507
    default_code = "no_space"
