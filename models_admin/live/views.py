"""What a page shows of the second's report, and that part of it. Pure.

A page of fifty models asked for all of a thousand: it read and parsed twenty times what it drew, and the server wrote
it. Pages that show the same get the same message, made once (publisher.py).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

State = dict[str, Any]

# The overview has fifty rows. Larger: one socket may ask for more work each second.
MAX_NAMES = 128
# Addresses whose views are remembered: two of the same page are then one object, and found without comparing names.
_REMEMBERED = 1_024


@dataclass(frozen=True, slots=True)
class View:
    """The models that a page shows, None for all, and whether it shows their instances."""

    models: frozenset[str] | None = None
    has_instances: bool = True


@functools.lru_cache(maxsize=_REMEMBERED)
def asked(query: bytes) -> View | None:
    """The view that a socket's address asks for (`?models=a,b&instances=1`); None where it asks for too many.

    Without `models` all are shown, and `models=` shows none: the totals and the machine only.
    """
    fields = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if "models" not in fields:
        return View()
    names = frozenset(name for name in fields["models"][-1].split(",") if name)
    return View(names, "instances" in fields) if len(names) <= MAX_NAMES else None


def seen(state: State, view: View) -> State:
    """The part of a state that the view shows. Models without a row are no part of it."""
    if view.models is None:
        return state
    names = view.models
    models = state["models"]
    return {
        **state,
        "models": {name: models[name] for name in sorted(names) if name in models},
        "versions": [one for one in state["versions"] if one["model"] in names],
        "instances": [one for one in state["instances"] if view.has_instances and one["model"] in names],
    }
