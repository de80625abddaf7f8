"""A staff user, a viewer, and a registry with something in every state."""

from __future__ import annotations

import pytest
from api_cast import runtime  # noqa: F401  a fixture
from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from models_admin.models import Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.services import keys, models, scaling, versions
from models_admin.services.actors import Actor, user_actor

SIGNATURE = {
    "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 8, 8]}],
    "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 10]}],
}


@pytest.fixture(autouse=True)
def forgotten_failures() -> None:
    cache.clear()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_superuser("alice", password="a long password")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="a long password")


@pytest.fixture
def actor(alice: User) -> Actor:
    return user_actor(alice, "127.0.0.1")


@pytest.fixture
def staff(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def viewer(bob: User) -> Client:
    client = Client()
    client.force_login(bob)
    return client


def add_version(model: Model, number: int, state: VersionState, **fields: object) -> ModelVersion:
    values = {
        "digest": "ab" * 32,
        "size_bytes": 1_000,
        "format": "torchscript",
        "original_filename": "digits<b>.pt",
        "signature": SIGNATURE if state in {VersionState.READY, VersionState.ARCHIVED} else None,
        **fields,
    }
    version = ModelVersion.objects.create(model=model, number=number, state=state, **values)
    versions.make_steps(version)
    return version


@pytest.fixture
def digits(actor: Actor) -> Model:
    model = models.create_model(actor=actor, name="digits", description="<script>alert(1)</script>")
    model.default_version = add_version(model, 1, VersionState.READY)
    model.save()
    add_version(model, 2, VersionState.FAILED, state_reason="It has no signature <i>.")
    add_version(model, 3, VersionState.VALIDATING)
    add_version(model, 4, VersionState.ARCHIVED)
    add_version(model, 5, VersionState.READY)
    scaling.set_instances(actor=actor, model=model, count=2)
    keys.create_key(actor=actor, name="ci", scope="inference")
    models.create_model(actor=actor, name="empty")
    settings.DLPROXY_HOME.mkdir(exist_ok=True)
    return model
