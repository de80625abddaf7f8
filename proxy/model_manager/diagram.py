"""Writes the table of the lifecycle as a page of documentation.

`python -m proxy.model_manager.diagram > docs/reference/lifecycle.md`
"""

from __future__ import annotations

import sys

from proxy.model_manager.lifecycle import FIRST_STATES, TRANSITIONS, LoadState

_HEAD = """# Life of a version

Made from `proxy/model_manager/lifecycle.py` by `python -m proxy.model_manager.diagram > docs/reference/lifecycle.md`; a
test holds the two equal. A version is loaded *beside* what answers, warmed up and verified on its golden samples, and
only then answers; what answered before drains after that. Events that a state does not know raise.
"""
_MEANING = {
    LoadState.CHECKING: "wanted: its bytes are compared with their digest",
    LoadState.LOADING: "digest right: the first instance opens the artifact",
    LoadState.WARMING: "opened: it runs each batch size that will be used",
    LoadState.VERIFYING: "warm: it repeats the golden samples, where the version has any",
    LoadState.READY: "it answers",
    LoadState.FAILED: "digest wrong: nothing is started from these bytes; upload it again",
    LoadState.QUARANTINED: "its instances would not start or would not live; nothing more is started until a change",
    LoadState.ASLEEP: "no instance is wanted until a request asks for one",
    LoadState.DRAINING: "no longer wanted: what was accepted is finished",
    LoadState.UNLOADED: "the last process is gone",
}


def page() -> str:
    """The whole page: diagram, states, moves."""
    lines = [_HEAD, "```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {state}" for state in FIRST_STATES]
    for state, moves in TRANSITIONS.items():
        lines += [f"    {state} --> {to}: {event}" for event, to in moves.items()]
    lines += ["    unloaded --> [*]", "```", "", "| state | meaning |", "|---|---|"]
    lines += [f"| `{state}` | {_MEANING[state]} |" for state in LoadState]
    lines += ["", "| from | event | to |", "|---|---|---|"]
    for state, moves in TRANSITIONS.items():
        lines += [f"| `{state}` | {event} | `{to}` |" for event, to in moves.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
