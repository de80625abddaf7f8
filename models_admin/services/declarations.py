"""Checks of what an uploader declares beside the file: signature, options, flags. Pure; raises Invalid."""

from __future__ import annotations

import json
import re
from typing import Any

from django.utils.translation import gettext as _

from models_admin.services.errors import Invalid
from proxy.core.tensors import DATATYPES

MAX_TENSORS = 64
MAX_DIMS = 16
MAX_NAME_CHARACTERS = 256
MAX_DIMENSION = 2**31 - 1
MAX_OPTION_CHARACTERS = 16_384
OPTION_NAMES = ("method", "reset_method", "architecture", "sample")
JSON_OPTIONS = frozenset({"architecture", "sample"})
MAX_FILENAME_CHARACTERS = 255
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows: with one, `tp.exe` reads as `exe.pt`."""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def shown_name(filename: str) -> str:
    """A file's name as pages and the audit show it: without characters that are not seen but change what is."""
    return UNSHOWN.sub("", filename)[:MAX_FILENAME_CHARACTERS]


def check_signature(value: Any, *, batchable: bool) -> dict[str, list[dict[str, Any]]] | None:
    """A declared signature, {"inputs": [{"name", "datatype", "shape"}], "outputs": [...]}, with no other keys."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"inputs", "outputs"}:
        raise Invalid(
            _('declared_signature: an object with "inputs" and "outputs" is needed.'), field="declared_signature"
        )
    return {side: _check_side(side, value[side], batchable=batchable) for side in ("inputs", "outputs")}


def check_options(value: Any) -> dict[str, str]:
    """Backend options: known names, short strings; methods are identifiers, the others JSON objects."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Invalid(_("options: an object of strings is needed."), field="options")
    for name, text in value.items():
        if name not in OPTION_NAMES:
            raise Invalid(
                _("options: %(name)s is unknown; known are %(names)s.")
                % {"name": f"{name!r:.60}", "names": ", ".join(OPTION_NAMES)},
                field="options",
            )
        if not isinstance(text, str) or not 0 < len(text) <= MAX_OPTION_CHARACTERS:
            raise Invalid(
                _("options.%(name)s: a string of at most %(max_option_characters)s characters.")
                % {"name": name, "max_option_characters": MAX_OPTION_CHARACTERS},
                field="options",
            )
        if name in JSON_OPTIONS:
            _check_json(name, text)
        elif not IDENTIFIER.fullmatch(text):
            raise Invalid(_("options.%(name)s: the name of a method is needed.") % {"name": name}, field="options")
    return dict(value)


def check_flags(*, batchable: bool, stateful: bool, cacheable: bool, options: dict[str, str]) -> None:
    """Flags that contradict each other are refused, so that state never leaks from one request to another."""
    if stateful and batchable:
        raise Invalid(
            _("batchable: a model that keeps state between calls cannot share executions."), field="batchable"
        )
    if stateful and cacheable:
        raise Invalid(_("cacheable: a model that keeps state between calls cannot be cached."), field="cacheable")
    if stateful and "reset_method" not in options:
        raise Invalid(
            _(
                'options: a stateful model needs "reset_method", the method that is called before each request '
                "so that no request sees another's state."
            ),
            field="options",
        )


def _check_json(name: str, text: str) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Invalid(
            _("options.%(name)s: a JSON object, given as a string, is needed.") % {"name": name}, field="options"
        )


def _check_side(side: str, tensors: Any, *, batchable: bool) -> list[dict[str, Any]]:
    where = f"declared_signature.{side}"
    if not isinstance(tensors, list) or not 0 < len(tensors) <= MAX_TENSORS:
        raise Invalid(
            _("%(where)s: a list of 1 to %(max_tensors)s tensors is needed.")
            % {"where": where, "max_tensors": MAX_TENSORS},
            field="declared_signature",
        )
    checked = [_check_tensor(f"{where}[{i}]", tensor, batchable=batchable) for i, tensor in enumerate(tensors)]
    names = [tensor["name"] for tensor in checked]
    if len(set(names)) != len(names):
        raise Invalid(_("%(where)s: two tensors have the same name.") % {"where": where}, field="declared_signature")
    return checked


def _check_tensor(where: str, tensor: Any, *, batchable: bool) -> dict[str, Any]:
    if not isinstance(tensor, dict) or set(tensor) != {"name", "datatype", "shape"}:
        raise Invalid(
            _('%(where)s: an object with "name", "datatype" and "shape" is needed.') % {"where": where},
            field="declared_signature",
        )
    name, datatype, shape = tensor["name"], tensor["datatype"], tensor["shape"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise Invalid(
            _("%(where)s.name: 1 to %(max_name_characters)s printable characters.")
            % {"where": where, "max_name_characters": MAX_NAME_CHARACTERS},
            field="declared_signature",
        )
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        raise Invalid(
            _("%(where)s.datatype: one of %(names)s is needed.") % {"where": where, "names": ", ".join(DATATYPES)},
            field="declared_signature",
        )
    if not isinstance(shape, list) or len(shape) > MAX_DIMS or not all(_is_dimension(size) for size in shape):
        raise Invalid(
            _("%(where)s.shape: at most %(max_dims)s whole numbers, each from 1, or -1 where the size varies.")
            % {"where": where, "max_dims": MAX_DIMS},
            field="declared_signature",
        )
    if batchable and (not shape or shape[0] != -1):
        raise Invalid(
            _("%(where)s.shape: a batchable model's first dimension is the batch and is declared as -1.")
            % {"where": where},
            field="declared_signature",
        )
    return {"name": name, "datatype": datatype, "shape": list(shape)}


def _is_dimension(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and (size == -1 or 0 < size <= MAX_DIMENSION)
