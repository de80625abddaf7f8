"""What a list of versions costs does not grow with each upload: one page of rows is read, and two columns of all."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from models_admin.models.registry import VersionState
from models_admin.services import models
from models_admin.services.actors import Actor
from tests.integration.pages.conftest import add_version

pytestmark = pytest.mark.django_db


def test_what_is_read_and_sent_of_versions_on_other_pages_is_next_to_nothing(staff: Client, actor: Actor) -> None:
    model = models.create_model(actor=actor, name="many")

    def look() -> tuple[int, int]:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            part = staff.get("/models/many/versions/list/").content
        whole = [one["sql"] for one in queries if "declared_signature" in one["sql"] and " IN (" not in one["sql"]]
        return len(part), sum("LIMIT" not in sql for sql in whole)

    for number in range(1, 61):
        add_version(model, number, VersionState.READY)
    few, _ = look()
    for number in range(61, 161):
        add_version(model, number, VersionState.READY)
    many, unbounded = look()
    assert many - few < 200
    assert unbounded == 0
