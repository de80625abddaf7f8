"""Shared parts of the OpenAPI document: problem answers, entity tags, tags of operations."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

PROBLEM_TYPE = "application/problem+json"


class ProblemSerializer(serializers.Serializer[Any]):
    """A refusal or fault (RFC 9457)."""

    type = serializers.CharField(help_text="Stable identifier of the kind of problem.")
    title = serializers.CharField(help_text="Phrase of the status.")
    status = serializers.IntegerField(help_text="HTTP status.")
    detail = serializers.CharField(help_text="Which rule fired and how to mend it.")
    code = serializers.CharField(help_text="Short stable word for programs.")
    request_id = serializers.CharField(help_text="Also in the X-Request-Id header and in the server's log.")
    errors = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="Messages by the path of the field at fault.",
    )


_WORDS = {
    400: "A value breaks a rule; `errors` names the field.",
    401: "No key or session, or one that is not good.",
    403: "The caller lacks the right, or the CSRF token is missing.",
    404: "There is no such thing.",
    406: "`Accept` leaves out what this route answers with.",
    409: "The state of the thing does not allow this now.",
    410: "It has expired; begin anew.",
    411: "Content-Length is missing.",
    412: "Someone changed the thing since it was read (If-Match).",
    413: "The body is larger than the limit.",
    415: "The content type is not one that this route reads.",
    422: "Well-formed, but the content does not agree with what was declared.",
    423: "Someone else works on it right now.",
    460: "The bytes do not match their checksum; none of them was kept.",
    503: "Not ready or busy; retry after the hint.",
    507: "The disk is full.",
}


def problems(*statuses: int) -> dict[Any, Any]:
    """Response entries of the given statuses, 401 and 403 always among them."""
    return {
        (status, PROBLEM_TYPE): OpenApiResponse(ProblemSerializer, description=_WORDS[status])
        for status in sorted({401, 403, *statuses})
    }


EVERY_ROUTE = (400, 406, 503)
"""Unknown parameters, an `Accept` that nothing fits, a database that is away: refused before the view."""
EVERY_CHANGE = (411, 413, 415)
"""What its body may be, refused before the view, too (api/base.py, api/parsers.py)."""
_CHANGING = frozenset({"post", "put", "patch", "delete"})


def with_common_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: each operation names what any request to it can be refused with."""
    schema = {"$ref": "#/components/schemas/Problem"}
    for operations in result["paths"].values():
        for method, operation in operations.items():
            answers = operation["responses"]
            for status in (*EVERY_ROUTE, *(EVERY_CHANGE if method in _CHANGING else ())):
                answers.setdefault(
                    str(status), {"description": _WORDS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}
                )
            operation["responses"] = dict(sorted(answers.items()))
    return result


def listed(serializer: type[serializers.BaseSerializer[Any]], *statuses: int) -> dict[Any, Any]:
    """Entries of a list. Each key names its media type: drf-spectacular takes the smallest as the main one."""
    return {(200, "application/json"): serializer(many=True), **problems(*statuses)}


IF_MATCH = OpenApiParameter(
    "If-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description='ETag of your last read, such as `"3"`: the change is refused with 412 if someone was faster.',
)
ETAG = OpenApiParameter(
    "ETag", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200, 201], description="The revision, for If-Match."
)
