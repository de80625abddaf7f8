"""What a rollout is judged by is added up in the database: the same numbers as row by row, and no rows fetched."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from models_admin.models import MetricSample, ModelVersion
from models_admin.selectors import rollouts as selectors
from models_admin.selectors.histograms import merged
from models_admin.services import rollouts
from proxy.metrics import histogram
from tests.integration.control.conftest import ANN, make_ready, upload

SECONDS = 300


def test_two_versions_are_measured_as_row_by_row_without_their_rows(ready: ModelVersion) -> None:
    candidate = make_ready(upload(ready.model, 2.0))
    rollout = rollouts.start(actor=ANN, model=ready.model, candidate=candidate)
    now = timezone.now()
    rollout.step_started_at = now - timedelta(seconds=100)
    MetricSample.objects.bulk_create(
        MetricSample(
            model_name="net",
            version=version,
            at=now - timedelta(seconds=second, milliseconds=500),
            requests=second % 7,
            errors=second % 2,
            rejections=second % 3,
            histogram={str(300 + second % 40 + version): second % 7, "12": version},
        )
        for second in range(SECONDS)
        for version in (1, 2)
    )
    with CaptureQueriesContext(connection) as asked:
        step, recent = selectors.measure(rollout, now=now).windows
    for window, seconds in ((step, 100), (recent, selectors.RECENT_S)):
        for version, counts in ((1, window.default), (2, window.candidate)):
            rows = [
                row
                for row in MetricSample.objects.filter(version=version)
                if row.at >= now - timedelta(seconds=seconds)
            ]
            if version == 1 and sum(row.requests for row in rows) < selectors.ENOUGH_BESIDE:
                rows = list(MetricSample.objects.filter(version=1))  # what the default did before says more
            expected: dict[int, int] = {}
            for row in rows:
                histogram.merge(expected, histogram.from_json(row.histogram))
            assert counts.histogram == expected
            assert counts.answered == sum(row.requests for row in rows)
            assert counts.failed == sum(row.errors + row.rejections for row in rows)
    samples = [query["sql"] for query in asked if "metricsample" in query["sql"]]
    assert samples and all("SUM(" in sql for sql in samples)


@pytest.mark.django_db
def test_nothing_measured_is_no_count_and_a_broken_histogram_is_refused() -> None:
    assert merged(MetricSample.objects.all()) == {}
    MetricSample.objects.create(at=timezone.now(), histogram={"x": 1})
    with pytest.raises(ValueError, match="x"):
        merged(MetricSample.objects.all())
