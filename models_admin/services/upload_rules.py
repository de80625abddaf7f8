"""Which piece of an upload is taken. Pure: of a file, only the next bytes that are missing are ever added.

Source: tus 1.0.0, "PATCH" (https://tus.io/protocols/resumable-upload).
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from models_admin.services.errors import Conflict, TooLarge


def check_piece(*, offset: int, received: int, size_bytes: int, count: int) -> None:
    """Refuse a piece of `count` bytes at `offset` unless it begins where the file now ends, and fits.

    Conflict: a gap, an overlap, or bytes that are here already. TooLarge: it goes beyond the declared length.
    """
    if offset != received:
        raise Conflict(
            _("This upload has %(received)s bytes, so the next piece begins there, not at %(offset)s.")
            % {"received": received, "offset": offset},
            field="Upload-Offset",
            code="offset",
        )
    if offset + count > size_bytes:
        raise TooLarge(
            _("%(size_bytes)s bytes were declared; this piece would make it %(total)s.")
            % {"size_bytes": size_bytes, "total": offset + count},
            field="Upload-Length",
        )
