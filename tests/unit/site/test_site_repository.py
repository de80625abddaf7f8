"""Loading and unloading for the model repository extension, through the control plane's own service."""

from __future__ import annotations

import pytest

from dlproxy_site.repository import set_loaded
from models_admin.models import AuditEvent, Model
from models_admin.publishing.snapshot import current_generation
from models_admin.services import models
from models_admin.services.actors import Actor
from proxy.core.errors import NotFound
from proxy.core.principals import Principal

pytestmark = pytest.mark.django_db
ADMIN = Principal("key:4", "key:ci", is_admin=True)


def test_the_change_is_written_audited_and_its_generation_returned() -> None:
    models.create_model(actor=Actor("user:ann", is_admin=True), name="digits")
    before = current_generation()
    generation = set_loaded(ADMIN, "digits", False)
    assert generation == current_generation() > before
    assert not Model.objects.get(name="digits").loaded
    event = AuditEvent.objects.latest("pk")
    assert (event.actor, event.action, event.object_id) == ("key:ci", "model.unload", "digits")


def test_what_is_so_already_changes_nothing() -> None:
    models.create_model(actor=Actor("user:ann", is_admin=True), name="digits")
    before = current_generation()
    assert set_loaded(ADMIN, "digits", True) == before


def test_an_unknown_model_is_not_found() -> None:
    with pytest.raises(NotFound):
        set_loaded(ADMIN, "nothing", True)
