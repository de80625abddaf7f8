"""Bodies of the admin API: JSON of bounded size, upload forms streamed to disk, inference bodies left as bytes.

Rules: nothing is read before the caller's rights are known; a body above its bound is a 413 without being kept.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.utils.datastructures import MultiValueDict
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser

from models_admin.api.part_headers import FormParser, ReadableHeaders
from models_admin.services.errors import TooLarge
from proxy.core.units import BYTES_PER_MIB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

# The largest administrative body is a key with a long list of models.
MAX_JSON_BYTES = BYTES_PER_MIB
# Digits of the longest whole number that is read, to be refused with its field; Python itself stops at 4,300.
MAX_DIGITS = 1_000
# Half of a surrogate pair may be written so; it is no text: nothing stores it and no answer can repeat it.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
# As the inference port's own bound (proxy.protocol.limits), which the data plane applies again to what it parses.
MAX_INFERENCE_BYTES = 64 * BYTES_PER_MIB
# Room for the longest boundary that Django takes (201 characters) and a short epilogue.
TAIL_BYTES = 512


class BoundedJSONParser(BaseParser):
    """UTF-8 JSON: no NaN or Infinity, no half of a surrogate pair, no field given twice, at most 1 MiB."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The value in the body, or ParseError."""
        del media_type, parser_context
        body = read_bounded(stream, MAX_JSON_BYTES)
        try:
            value = json.loads(
                body.decode("utf-8"), parse_constant=refuse_constant, parse_int=whole_number, object_pairs_hook=_unique
            )
            if _SURROGATE.search(body):
                json.dumps(value, ensure_ascii=False).encode()
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except UnicodeEncodeError:
            raise ParseError("A text in the JSON holds half of a surrogate pair.") from None
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {error}") from None
        return value


class InferenceBodyParser(BaseParser):
    """A V2 inference body as bytes: the data plane parses it, once."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """The body as it came."""
        del media_type, parser_context
        return read_bounded(stream, MAX_INFERENCE_BYTES)


class InferenceBinaryParser(InferenceBodyParser):
    """JSON with raw tensors behind it, or one raw tensor; a header that the data plane reads says where they begin."""

    media_type = "application/octet-stream"


class BoundedFileHandler(TemporaryFileUploadHandler):
    """Streams a file to the artifacts' disk and stops at DLPROXY_MAX_UPLOAD_BYTES."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received_bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep one chunk, or raise TooLarge."""
        self._received_bytes += len(raw_data)
        if self._received_bytes > settings.DLPROXY_MAX_UPLOAD_BYTES:
            raise TooLarge(
                _("The file is larger than %(dlproxy_max_upload_bytes)s bytes.")
                % {"dlproxy_max_upload_bytes": settings.DLPROXY_MAX_UPLOAD_BYTES},
                field="file",
            )
        super().receive_data_chunk(raw_data, start)


class _Tail:
    """The body's stream, remembering its last bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """Read through."""
        data = self._stream.read(size)
        self.last = (self.last + data)[-TAIL_BYTES:]
        return data


class UploadParser(MultiPartParser):
    """A multipart form whose files go to disk in chunks. One that ends early is refused, not taken for whole."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> DataAndFiles:
        """Fields and files."""
        request = parser_context["request"]
        handler = BoundedFileHandler(request._request)
        request.upload_handlers = [handler]
        tail = _Tail(stream)
        boundary = parse_header_parameters(media_type or "")[1].get("boundary", "").encode("latin-1", "replace")
        meta = {**request.META, "CONTENT_TYPE": media_type or ""}
        try:
            readable = ReadableHeaders(tail, boundary)
            data, files = FormParser(meta, readable, [handler], parser_context["encoding"]).parse()
            form = DataAndFiles(data, files)
            _check_end(form, tail.last, boundary)
        except BaseException:
            handler.upload_interrupted()
            raise
        return form


def _check_end(form: DataAndFiles, last: bytes, boundary: bytes) -> None:
    if b"--" + boundary + b"--" in last:
        return
    for _name, files in form.files.lists():
        for file in files:
            file.close()
    raise ParseError("The multipart body ends before its closing boundary.")


def form_values(form: Any) -> dict[str, Any]:
    """A form, its files included, as one value a name; ValidationError for a name that is given twice."""
    if not isinstance(form, MultiValueDict):
        return dict(form)
    repeated = {name: ["Give this field once."] for name, given in form.lists() if len(given) != 1}
    if repeated:
        raise ValidationError(repeated)
    return dict(form.items())


def read_bounded(stream: IO[bytes], limit_bytes: int) -> bytes:
    """The whole body, or TooLarge if it exceeds `limit_bytes`."""
    body = stream.read(limit_bytes + 1)
    if len(body) > limit_bytes:
        raise TooLarge(
            _("The body is larger than the %(limit_bytes)s bytes that this route takes.") % {"limit_bytes": limit_bytes}
        )
    return body


def refuse_constant(word: str) -> NoReturn:
    """For `json.loads`: NaN and Infinity are no JSON."""
    raise ValueError(f"{word} is not a JSON number")


def whole_number(digits: str) -> int:
    """For `json.loads`: refuses a number that no field takes before it is converted."""
    if len(digits) > MAX_DIGITS:
        raise ValueError("a number has too many digits")
    return int(digits)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is given twice")
    return members
