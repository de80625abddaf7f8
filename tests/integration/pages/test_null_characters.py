"""A null character, which SQLite keeps and PostgreSQL refuses, is refused in words or ignored: never a 500."""

from __future__ import annotations

import pytest
from django.test import Client

from models_admin.models import ApiKey, Model

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path", ["/models/dig%00its/", "/models/%00/versions/1/", "/models/dig%00its/versions/list/", "/models/%00/policy/"]
)
def test_no_model_has_one_in_its_name(staff: Client, digits: Model, path: str) -> None:
    assert staff.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/?q=dig%00", "/audit/?actor=%00", "/audit/?action=%00", "/audit/?object=%00", "/tuning/?model=%00"],
)
def test_a_filter_with_one_finds_nothing_or_ignores_it(staff: Client, digits: Model, path: str) -> None:
    assert staff.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/models/new", {"name": "new\0"}),
        ("/models/new", {"name": "new", "description": "a\0b"}),
        ("/models/digits/describe/", {"description": "a\0b"}),
        ("/models/digits/versions/1/notes/", {"notes": "a\0b"}),
        ("/models/digits/policy/save/", {"placement": "round\0robin"}),
        ("/keys/create/", {"name": "k\0", "scope": "inference", "all_models": "true"}),
        ("/keys/create/", {"name": "k", "scope": "inf\0", "all_models": "true"}),
        ("/keys/create/", {"name": "k", "scope": "inference", "models": "digits\0"}),
    ],
)
def test_a_form_with_one_is_refused_and_changes_nothing(
    staff: Client, digits: Model, path: str, fields: dict[str, str]
) -> None:
    before = ApiKey.objects.count(), Model.objects.count(), digits.versions.get(number=1).notes, digits.description
    assert staff.post(path, fields).status_code < 500
    digits.refresh_from_db()
    after = ApiKey.objects.count(), Model.objects.count(), digits.versions.get(number=1).notes, digits.description
    assert after == before
