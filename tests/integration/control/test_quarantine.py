"""F3: a version whose instances were given up keeps the reason on its row until an instance of it answers again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models_admin.models import ModelVersion
from models_admin.publishing.quarantine import note_quarantines
from models_admin.publishing.reports import write_report
from proxy.core.reports import VersionReport
from tests.integration.control.test_publishing import NOON, report

pytestmark = pytest.mark.django_db
WORDS = "Given up after 5 failed starts in a row. The last one: the process ended (SIGSEGV)."


def seen(state: str, message: str = "", number: int = 1) -> VersionReport:
    return VersionReport("net", number, state, True, 0, 1, 4, message)


@pytest.mark.parametrize("state", ["failed", "quarantined"])
def test_f03_the_reason_is_kept_from_the_second_that_reports_it(ready: ModelVersion, state: str) -> None:
    write_report(replace(report(NOON), versions=(seen(state, WORDS),)))
    ready.refresh_from_db()
    assert ready.quarantined_reason == WORDS


def test_f03_it_stays_while_starts_are_tried_again_and_goes_when_one_answers(ready: ModelVersion) -> None:
    note_quarantines([seen("quarantined", WORDS)])
    for state in ("checking", "loading", "warming", "verifying"):
        note_quarantines([seen(state)])
        ready.refresh_from_db()
        assert ready.quarantined_reason == WORDS
    note_quarantines([])  # the server restarts
    ready.refresh_from_db()
    assert ready.quarantined_reason == WORDS
    note_quarantines([seen("ready")])
    ready.refresh_from_db()
    assert ready.quarantined_reason == ""


def test_f35_the_same_news_twice_writes_nothing(ready: ModelVersion, django_assert_num_queries) -> None:
    note_quarantines([seen("quarantined", WORDS)])
    with django_assert_num_queries(1):
        note_quarantines([seen("quarantined", WORDS)])


def test_a_version_that_is_gone_is_no_error(ready: ModelVersion) -> None:
    note_quarantines([seen("quarantined", WORDS, number=99)])
    ready.refresh_from_db()
    assert ready.quarantined_reason == ""
