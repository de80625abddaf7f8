"""File names of an upload form that Django would drop together with their file → names that it reads.

Rules: a name is only a label, so none makes an upload fail: bytes that are no UTF-8 are read as Latin-1, an encoding
that nobody knows or a name of which nothing remains gives "unnamed", one that is too long for Django's part headers is
cut. Everything else passes through as it came; at most MAX_HEADERS_BYTES of a part are held back.
"""

from __future__ import annotations

import re
from typing import Protocol

from django.http.multipartparser import MultiPartParser
from django.utils.http import parse_header_parameters

UNNAMED = "unnamed"
MAX_HEADERS_BYTES = 65_536
LONGEST_LINE_BYTES = 900
"""Django refuses a part whose headers have more than 1,024 bytes together."""
CUT_CHARACTERS = 160
"""What is kept of a longer name: at most 640 bytes of UTF-8."""
CHUNK_BYTES = 65_536
END = b"\r\n\r\n"
_EXTENDED_NAME = re.compile(r"filename\*[^=;]*=[^;]*", re.IGNORECASE)


class Readable(Protocol):
    """What a form is read from."""

    def read(self, size: int = ..., /) -> bytes:
        """Some bytes; none at the end."""


class FormParser(MultiPartParser):
    """Django's, except that a file whose name says nothing ("..") is a file all the same."""

    def sanitize_file_name(self, file_name: str) -> str:
        """The last part of the name in printable characters; UNNAMED where nothing remains."""
        return super().sanitize_file_name(file_name) or UNNAMED


class ReadableHeaders:
    """A form's body whose part headers are mended on the way."""

    def __init__(self, stream: Readable, boundary: bytes) -> None:
        self._stream = stream
        self._delimiter = b"--" + boundary
        self._kept = b""

    def read(self, size: int = CHUNK_BYTES) -> bytes:
        """The next bytes, about `size`; none only at the end."""
        while True:
            data = self._stream.read(size if size > 0 else CHUNK_BYTES)
            ready, self._kept = self._pass_on(self._kept + data, at_end=not data)
            if ready or not data:
                return ready

    def _pass_on(self, data: bytes, *, at_end: bool) -> tuple[bytes, bytes]:
        """What may go on, mended, and what waits for more: headers, or what may become a delimiter."""
        ready, begin = [], 0
        while (found := data.find(self._delimiter, begin)) >= 0:
            ready.append(data[begin:found])
            end = data.find(END, found, found + MAX_HEADERS_BYTES)
            if end < 0 and not at_end and len(data) - found < MAX_HEADERS_BYTES:
                return b"".join(ready), data[found:]
            begin = end if end >= 0 else found + len(self._delimiter)
            ready.append(mended(data[found:begin]))
        keep_from = len(data) if at_end else max(begin, len(data) - len(self._delimiter) + 1)
        ready.append(data[begin:keep_from])
        return b"".join(ready), data[keep_from:]


def mended(headers: bytes) -> bytes:
    """The headers of a part, with a Content-Disposition that Django can read."""
    lines = headers.split(b"\r\n")
    return b"\r\n".join(_mended(one) if one.lower().startswith(b"content-disposition") else one for one in lines)


def _mended(line: bytes) -> bytes:
    try:
        _, given = parse_header_parameters(line.decode())
        if len(line) <= LONGEST_LINE_BYTES and "".join(given.values()).isprintable():
            return line
    except ValueError:
        _, given = parse_header_parameters(_EXTENDED_NAME.sub(f"filename={UNNAMED}", line.decode("latin-1")))
    disposition = "Content-Disposition: form-data"
    for name in ("name", "filename"):
        if name in given:
            text = "".join(one for one in given[name] if one.isprintable())[:CUT_CHARACTERS]
            text = text.replace("\\", "\\\\").replace('"', '\\"')
            disposition += f'; {name}="{text or UNNAMED if given[name] else ""}"'
    return disposition.encode()
