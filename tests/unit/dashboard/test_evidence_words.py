"""The numbers behind a decision under names that people use; each that a decision keeps has one."""

from __future__ import annotations

import inspect
import re

from models_admin.dashboard.evidence_words import LABELS, evidence_rows
from proxy.tuner import proposals, rollout, tuning_proposals, tuning_proposals_cache, tuning_proposals_lane


def test_every_number_that_a_decision_keeps_has_a_name() -> None:
    kept: set[str] = set()
    for function in (proposals.evidence_of, rollout.evidence_of):
        kept |= _names(function)
    for module in (tuning_proposals, tuning_proposals_lane):
        for block in re.findall(r"evidence ?= ?\{(.*?)\}", inspect.getsource(module), re.DOTALL):
            kept |= set(re.findall(r'"(\w+)":', block))
    kept |= set(re.findall(r'"(\w+)":', inspect.getsource(tuning_proposals_cache._mix)))
    assert len(kept) > 25
    assert kept <= set(LABELS)


def _names(function: object) -> set[str]:
    source = inspect.getsource(function)  # type: ignore[arg-type]
    return set(re.findall(r'"(\w+)":', source)) | set(re.findall(r"\b(by_\w+)=", source))


def test_numbers_have_their_units_and_what_is_not_known_is_left_out() -> None:
    rows = evidence_rows(
        {
            "utilisation_ratio": 0.2607,
            "arrivals_per_s": 65.93333,
            "alpha_s": 0.0115,
            "load_s": 11.125,
            "gpu_ratio": None,
            "mix_mib": 4,
            "saved_ms_per_s": 98.03,
            "candidate_requests": 12_345,
            "of_another_release": "x",
        }
    )
    assert rows == [
        ("Utilisation", "26%"),
        ("Arrivals", "65.9/s"),
        ("An execution takes, whatever its rows", "12 ms"),
        ("Starting an instance takes", "11.1 s"),
        ("Size that the curve was read at", "4 MiB"),
        ("Model time saved each second", "98 ms"),
        ("Requests of the candidate", "12,345"),
        ("of_another_release", "x"),
    ]
