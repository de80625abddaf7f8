"""A measured change is told as a share of what it was, not as a logarithm."""

from __future__ import annotations

import pytest

from proxy.tuner.comparison import Change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(-2.541, 0.5558), "by the objective -92%, likely between -97% and -79%; less is better"),
        (Change(-0.05, 0.01), "by the objective -5%, likely between -7% and -3%; less is better"),
        (Change(0.1, 900.0), "by the objective +11%, likely between -100% and +1909%; less is better"),
    ],
)
def test_a_change_is_a_share_of_what_it_was(change: Change, words: str) -> None:
    assert str(change.words) == words
