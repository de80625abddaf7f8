"""The page of the lifecycle is the one that the table makes."""

from __future__ import annotations

from proxy.model_manager.diagram import page
from tests.architecture.sources import ROOT


def test_the_page_of_the_lifecycle_is_made_from_the_table() -> None:
    """If it is not: `python -m proxy.model_manager.diagram > docs/reference/lifecycle.md`."""
    assert (ROOT / "docs/reference/lifecycle.md").read_text() == page()
