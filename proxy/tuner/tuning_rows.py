"""A proposal as a decision's row keeps it, and back. Pure.

Rules: what is not finite, and so no JSON number, is left out as None; a row that is none of ours is no proposal.
"""

from __future__ import annotations

from dataclasses import asdict
from math import isfinite
from typing import Any

from proxy.core.policies import Knob
from proxy.tuner.tuning_view import Aim, Expectation, Proposal, Why


def to_row(proposal: Proposal) -> dict[str, Any]:
    """All of a proposal as JSON keeps it."""
    row = asdict(proposal)
    row["evidence"] = dict(proposal.evidence)
    return {name: _finite(value) for name, value in row.items()}


def from_row(row: Any) -> Proposal | None:
    """What `to_row` wrote; None for anything else."""
    try:
        expected = row["expectation"]
        return Proposal(
            Knob(row["knob"]),
            row["from_value"],
            row["to_value"],
            Why(row["why"]),
            str(row["words"]),
            Expectation(
                str(expected["metric"]),
                float(expected["before"]),
                float(expected["after"]),
                bool(expected["lower_is_better"]),
                str(expected["words"]),
            ),
            Aim(row["aim"]),
            float(row["gain_ratio"]),
            float(row["settle_s"]),
            dict(row["evidence"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
