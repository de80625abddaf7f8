"""Words of refusals: names the field, quotes the client's text shortened and escaped."""

from __future__ import annotations

import re

import msgspec

from proxy.core.errors import InvalidRequest, Reason

MAX_QUOTED = 64  # characters of client text that an answer repeats
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # DecodeError covers ValidationError
_PATH = re.compile(r"^(?P<what>.*) - at `(?P<path>[^`]*)`$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected `(?P<want>[^`]*)`, got `(?P<got>[^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(?P<field>.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(?P<field>.*)`$", re.DOTALL)
_JSON_WORDS = {"float": "number", "int": "integer", "bool": "boolean", "str": "string"}


def quote(text: str) -> str:
    """`text` in double quotes, control characters escaped, shortened."""
    shown = text[:MAX_QUOTED]
    escaped = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in shown)
    return f'"{escaped}…"' if len(text) > MAX_QUOTED else f'"{escaped}"'


def names(values: tuple[str, ...]) -> str:
    """A signature's names, for "it has: …"."""
    return ", ".join(quote(v) for v in values[:16]) + (", …" if len(values) > 16 else "")


def refusal(error: Exception, root: str, reason: Reason, base_index: int = 0) -> InvalidRequest:
    """What the JSON decoder found wrong, in words that name the field; `root` is the path of the decoded text.

    `base_index` is added to the first index, for text that was decoded piece by piece.
    """
    if isinstance(error, RecursionError):
        return InvalidRequest(Reason.INVALID_JSON, f"{root or 'body'}: nested deeper than 100 levels.")
    if isinstance(error, UnicodeDecodeError):
        return InvalidRequest(Reason.INVALID_JSON, f"{root or 'body'}: not valid UTF-8.")
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequest(Reason.INVALID_JSON, f"{root or 'body'}: not valid JSON ({_malformed(str(error))}).")
    what, path = str(error), ""
    if match := _PATH.match(what):
        what, path = match["what"], _shift(match["path"].removeprefix("$"), base_index)
    field = (root + path).lstrip(".")
    if match := _EXPECTED.match(what):
        want, got = (_json_word(match[k]) for k in ("want", "got"))
        return InvalidRequest(reason, f"{field or 'body'}: expected {want}, got {got}.")
    if match := _MISSING.match(what):
        return InvalidRequest(Reason.INVALID_REQUEST, f"{_join(field, match['field'])}: missing.")
    if match := _UNKNOWN.match(what):
        return InvalidRequest(Reason.INVALID_REQUEST, f"{_join(field, quote(match['field']))}: unknown field.")
    return InvalidRequest(reason, f"{field or 'body'}: {what[:1].lower()}{what[1:]}.")


def _malformed(words: str) -> str:
    if "truncated" in words:
        return "it ends too early, or holds half a surrogate pair"
    return words.removeprefix("JSON is malformed: ")


def _json_word(types: str) -> str:
    return " or ".join(_JSON_WORDS.get(t, t) for t in types.split(" | "))


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child


def _shift(path: str, base_index: int) -> str:
    if not base_index:
        return path
    return re.sub(r"^\[(\d+)\]", lambda m: f"[{int(m[1]) + base_index}]", path)
