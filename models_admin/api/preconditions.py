"""Lost updates are refused: `ETag: "<revision>"` on what is read, `If-Match` honoured on what is changed.

Source: RFC 9110, sections 8.8.3 (ETag) and 13.1.1 (If-Match; strong comparison, so weak tags never match).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError

from models_admin.services.errors import PreconditionFailed

if TYPE_CHECKING:
    from rest_framework.request import Request

MAX_HEADER_CHARACTERS = 1_000
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_HEADER = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*')


def etag(revision: int) -> str:
    """The entity tag of a revision."""
    return f'"{revision}"'


def expected_revision(request: Request, current: int) -> int | None:
    """The revision that the change must meet: None without `If-Match` or with `*`.

    Raises PreconditionFailed if `current` is not among the tags, ValidationError if the header is not a list of tags.
    The service checks again under its lock, with the number returned here.
    """
    header = request.META.get("HTTP_IF_MATCH")
    if header is None or header.strip() == "*":
        return None
    if len(header) > MAX_HEADER_CHARACTERS or not _HEADER.fullmatch(header):
        raise ValidationError({"If-Match": ['Give the ETag of your last read, such as "3".']})
    if any(not weak and tag == str(current) for weak, tag in _TAG.findall(header)):
        return current
    raise PreconditionFailed(
        _("This has changed since you read it; it is at revision %(current)s now. Read it again.")
        % {"current": current}
    )
