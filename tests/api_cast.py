"""Who calls the admin API in its tests: one fixture an identity, and small helpers that speak as them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from models_admin.models import ApiKey, Model, ModelVersion
from models_admin.models.registry import VersionState
from models_admin.selectors.artifacts import artifact_path
from models_admin.services import keys, models
from models_admin.services.actors import Actor, system_actor
from proxy import gateway
from proxy.core.instance_reports import ExitReport, OrderOutcome
from proxy.core.principals import Principal
from proxy.core.reports import (
    InstanceReport,
    MachineReport,
    ModelSecond,
    SecondReport,
    VersionReport,
)
from proxy.core.request_reports import RequestQuery, RequestReport
from proxy.core.requests import Answer

__all__ = [
    "FakeRuntime",
    "admin",
    "admin_key",
    "chief",
    "chief_user",
    "digits",
    "inference",
    "inference_key",
    "maker",
    "runtime",
    "staff",
    "staff_user",
    "stranger",
    "viewer",
    "viewer_user",
]

API = "/api/v1"
ROOT = system_actor("tests")


class Caller:
    """A client that speaks JSON, carries its credential and, for a session, the CSRF token."""

    def __init__(self, user: User | None = None, secret: str = "") -> None:
        self.client = Client(enforce_csrf_checks=True)
        self.headers: dict[str, str] = {}
        if secret:
            self.headers["Authorization"] = f"Bearer {secret}"
        if user is not None:
            self.client.force_login(user)
            token = "t" * 32
            self.client.cookies["dlproxy_csrf"] = token
            self.headers["X-CSRFToken"] = token

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One call below /api/v1; `body` is sent as JSON unless it is bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content_type = named.pop("Content-Type", "application/json")
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method.upper(), API + path, data, content_type=content_type, headers={**self.headers, **named}
        )

    def upload(self, path: str, content: bytes, filename: str = "model.safetensors", **fields: str) -> Any:
        """One multipart upload."""
        form = {"file": SimpleUploadedFile(filename, content), **fields}
        return self.client.post(API + path, form, headers=self.headers)


@dataclass
class FakeOrders:
    """Answers orders to instances as told, and remembers them."""

    outcome: OrderOutcome = OrderOutcome.BESIDE
    given: list[tuple[str, int, str]] = field(default_factory=list)
    output: bytes = b"loaded\n"

    def restart(self, number: int, why: str) -> OrderOutcome:
        """Remember it."""
        self.given.append(("restart", number, why))
        return self.outcome

    def drain(self, number: int, why: str) -> OrderOutcome:
        """Remember it."""
        self.given.append(("drain", number, why))
        return self.outcome

    def printed(self, number: int) -> tuple[str, bytes] | None:
        """Of 1 and 2, which are reported."""
        return (f"digits/1#{number}", self.output) if number in (1, 2) else None


@dataclass
class FakeRuntime:
    """The part of proxy.runtime.Runtime that the gateway and the API use, without a data plane."""

    latest_report: SecondReport | None = None
    answer: Answer = field(default_factory=lambda: Answer(200, b'{"outputs": []}'))
    asked: list[tuple[Principal, str, str | None, bytes]] = field(default_factory=list)
    headers: dict[bytes, bytes] = field(default_factory=dict)
    purged: list[tuple[str | None, str | None]] = field(default_factory=list)
    fed: int = 0
    inference_port: int = 8_601
    kept: tuple[RequestReport, ...] = ()
    queries: list[RequestQuery] = field(default_factory=list)

    def requests(self, query: RequestQuery) -> tuple[RequestReport, ...]:
        """What the test put there."""
        self.queries.append(query)
        return tuple(one for one in self.kept if query.number in (0, one.number))

    exits: tuple[ExitReport, ...] = ()
    orders: FakeOrders = field(default_factory=FakeOrders)

    def instance_exits(self) -> tuple[ExitReport, ...]:
        """What the test put there."""
        return self.exits

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """There is no loop."""
        return function()

    def feed_soon(self) -> None:
        """Count the bells."""
        self.fed += 1

    def purge_cache(self, model: str | None = None, version_digest: str | None = None) -> None:
        """Remember the purge."""
        self.purged.append((model, version_digest))


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRuntime]:
    """A data plane that reports digits/1 ready with one instance, and answers as told."""
    fake = FakeRuntime(
        SecondReport(
            sequence=7,
            at_unix_s=1_800_000_000,
            generation=3,
            total=ModelSecond(),
            models={"digits": ModelSecond(requests=5, p50_ms=1.5, p99_ms=3.0, queue_depth=2)},
            versions=(VersionReport("digits", 1, "ready", True, 1, 2, 0, "", {"seccomp": "on"}),),
            instances=(
                InstanceReport("digits/1#1", "digits", 1, 4_242, "ready", "cpu", 12.5, 100_000_000, 31, 2.5),
                InstanceReport("digits/1#2", "digits", 1, 4_243, "loading", "cpu", 0.5, 90_000_000, 0, None),
            ),
            machine=MachineReport(10.0, (10.0,), 1, 2),
        )
    )

    def infer(
        principal: Principal, model: str, version: str | None, body: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Answer:
        fake.asked.append((principal, model, version, body))
        fake.headers = dict(headers)
        return fake.answer

    monkeypatch.setattr(gateway, "infer_from_thread", infer)
    gateway.attach(fake)  # type: ignore[arg-type]
    yield fake
    gateway.attach(None)


@pytest.fixture
def viewer_user(db: None) -> User:
    """A dashboard user without rights."""
    return User.objects.create_user("vera", password="x")


@pytest.fixture
def staff_user(db: None) -> User:
    """An administrator who may upload code."""
    user = User.objects.create_user("ann", password="x", is_staff=True)
    user.user_permissions.add(*Permission.objects.filter(codename="upload_code"))
    return user


@pytest.fixture
def stranger(db: None) -> Caller:
    """Nobody."""
    return Caller()


@pytest.fixture
def viewer(viewer_user: User) -> Caller:
    """The user without rights, logged in."""
    return Caller(viewer_user)


@pytest.fixture
def staff(staff_user: User) -> Caller:
    """The administrator, logged in."""
    return Caller(staff_user)


@pytest.fixture
def chief_user(db: None) -> User:
    """An admin: a superuser."""
    return User.objects.create_superuser("cleo", password="x")


@pytest.fixture
def chief(chief_user: User) -> Caller:
    """The admin, logged in."""
    return Caller(chief_user)


@pytest.fixture
def inference_key(db: None) -> tuple[ApiKey, str]:
    """A key that may ask every model, and its secret."""
    return keys.create_key(actor=ROOT, name="app", scope="inference")


@pytest.fixture
def admin_key(db: None) -> tuple[ApiKey, str]:
    """A key that may administer but not upload code, and its secret."""
    return keys.create_key(actor=ROOT, name="ci", scope="admin")


@pytest.fixture
def inference(inference_key: tuple[ApiKey, str]) -> Caller:
    """Caller with the inference key."""
    return Caller(secret=inference_key[1])


@pytest.fixture
def admin(admin_key: tuple[ApiKey, str]) -> Caller:
    """Caller with the administration key."""
    return Caller(secret=admin_key[1])


class Maker:
    """Makes registry rows as they are after an upload and its validation, without running either."""

    actor: Actor = ROOT

    def model(self, name: str) -> Model:
        """A model without versions."""
        return models.create_model(actor=self.actor, name=name)

    def version(self, model: Model, number: int, state: VersionState = VersionState.READY) -> ModelVersion:
        """A version in `state` whose artifact exists."""
        version = ModelVersion.objects.create(
            model=model, number=number, digest=f"{number:064x}", size_bytes=4, format="safetensors", state=state
        )
        path: Path = artifact_path(version)
        path.write_bytes(b"data")
        return version


@pytest.fixture
def maker(db: None) -> Maker:
    """Makes models and versions."""
    return Maker()


@pytest.fixture
def digits(maker: Maker) -> Model:
    """A model with a default version 1 and a ready version 2."""
    model = maker.model("digits")
    first = maker.version(model, 1)
    maker.version(model, 2)
    model.default_version = first
    model.save(update_fields=["default_version"])
    return model
