"""Every refusal and fault a client can see.

    ProxyError
      InvalidRequest 400   Unauthenticated 401   Forbidden 403   NotFound 404   MethodNotAllowed 405
      TooLarge 413   UnsupportedMediaType 415   QuotaExceeded 429   Rejected 503   NotReady 503
      DeadlineExceeded 504   ExecutionFailed 500   Cancelled 499 (never on the wire: the client has left)

Expected refusals inside the rooms are values (`Reject`); only the pipeline turns them into these.
A message says which rule fired and how to mend it; never a path, a trace or another tenant's name.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a request was not answered: the label of metrics, pages and documents (docs/reference/reasons.md)."""

    INVALID_REQUEST = "invalid_request"
    INVALID_JSON = "invalid_json"
    INVALID_SHAPE = "invalid_shape"
    INVALID_DATA = "invalid_data"
    INVALID_DATATYPE = "invalid_datatype"
    UNKNOWN_INPUT = "unknown_input"
    UNKNOWN_OUTPUT = "unknown_output"
    INVALID_PARAMETER = "invalid_parameter"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_VERSION = "unknown_version"
    UNKNOWN_ROUTE = "unknown_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    QUEUE_FULL = "queue_full"
    PREDICTED_LATE = "predicted_late"
    CONCURRENCY_LIMIT = "concurrency_limit"
    FAIR_SHARE = "fair_share"
    REPEAT_OFFENDER = "repeat_offender"
    QUOTA = "quota"
    OVERSIZE = "oversize"
    NO_ROOM = "no_room"
    NOT_READY = "not_ready"
    SHUTTING_DOWN = "shutting_down"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    MODEL_ERROR = "model_error"
    INSTANCE_LOST = "instance_lost"
    EXECUTION_TIMEOUT = "execution_timeout"
    OUTPUT_NOT_FINITE = "output_not_finite"
    OUTPUT_NOT_TEXT = "output_not_text"
    INTERNAL = "internal"
    CANCELLED = "cancelled"


class ProxyError(Exception):
    """Root. `status` is the HTTP status, `retry_after_ns` a hint for when to come back."""

    status = 500

    def __init__(self, reason: Reason, message: str, retry_after_ns: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after_ns = retry_after_ns


class InvalidRequest(ProxyError):
    """The request breaks the protocol or the model's signature; do not retry unchanged."""

    status = 400


class Unauthenticated(ProxyError):
    """No credential, or one that is unknown, expired or revoked."""

    status = 401


class Forbidden(ProxyError):
    """The credential is good but lacks the right."""

    status = 403


class NotFound(ProxyError):
    """No such model, version or route (or the caller may not know of it)."""

    status = 404


class MethodNotAllowed(ProxyError):
    """The route exists, the method does not."""

    status = 405


class TooLarge(ProxyError):
    """Body, or what it expands to, exceeds a configured limit."""

    status = 413


class UnsupportedMediaType(ProxyError):
    """Content type or coding that this route does not read."""

    status = 415


class QuotaExceeded(ProxyError):
    """The key has spent its rate; retry after the hint."""

    status = 429


class Rejected(ProxyError):
    """Refused at admission by load; nothing was executed; retry after the hint."""

    status = 503


class NotReady(ProxyError):
    """The model is known but has no ready instance; retry after the hint."""

    status = 503


class DeadlineExceeded(ProxyError):
    """The deadline passed before an answer; never executed if it expired in the queue."""

    status = 504


class ExecutionFailed(ProxyError):
    """The model raised, or its instance was lost and the one retry too."""

    status = 500


class Cancelled(ProxyError):
    """The client left; nobody reads this."""

    status = 499
