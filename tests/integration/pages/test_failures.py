"""Every refusal and fault that a person or a program can meet: words, a way back, an id that the log has, too."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import AsyncClient, Client

from dlproxy_site.body_guard import SMALL_BYTES, BodyGuard
from models_admin import selectors
from models_admin.dashboard import failures
from models_admin.models import ApiKey, Model
from proxy.core.own_faults import OwnFaults

HTMX = {"HX-Request": "true", "Accept": "text/html, */*"}
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_faults", OwnFaults())


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The overview fails as nobody foresaw."""

    def fault(*_: Any, **__: Any) -> Any:
        raise ValueError("unforeseen")

    monkeypatch.setattr(selectors, "models_listed", fault)


@pytest.fixture
def unbuilt(settings: Any) -> None:
    """A checkout whose static files were never built."""
    storage = {"BACKEND": "models_admin.dashboard.static_files.ModuleStaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": storage}


def errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_fault_is_told_with_an_id_that_stands_in_the_log_beside_its_trace(
    staff: Client, faulty: None, caplog: pytest.LogCaptureFixture
) -> None:
    staff.raise_request_exception = False
    answer = staff.get("/")
    request_id = answer.headers["X-Request-Id"]
    assert (answer.status_code, request_id in answer.content.decode()) == (500, True)
    assert "unforeseen" not in answer.content.decode()
    (record,) = errors(caplog)
    assert request_id in record.getMessage()
    assert "GET /" in record.getMessage()
    assert record.exc_info is not None


def test_a_fault_that_lasts_is_a_line_for_each_request_and_one_trace(
    staff: Client, faulty: None, caplog: pytest.LogCaptureFixture
) -> None:
    staff.raise_request_exception = False
    ids = [staff.get("/").headers["X-Request-Id"] for _ in range(3)]
    assert [bool(record.exc_info) for record in errors(caplog)] == [True, False, False]
    assert all(name in record.getMessage() for name, record in zip(ids, errors(caplog), strict=True))


@pytest.mark.parametrize("path", ["/login/", "/", "/none/"])
def test_without_static_files_a_page_and_one_line_say_what_to_do(
    client: Client, unbuilt: None, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    client.raise_request_exception = False
    answer = client.get(path, follow=True)
    assert "manage.py prepare" in answer.content.decode() or answer.status_code == 404
    if answer.status_code == 500:
        (record,) = errors(caplog)
        assert record.exc_info is not None
        assert "run script/server, or manage.py prepare" in str(record.exc_info[1])
        assert answer.headers["X-Request-Id"] in record.getMessage()


async def test_without_static_files_the_asgi_server_says_it_once_too(
    unbuilt: None, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await AsyncClient(raise_request_exception=False).get("/login/")
    assert (answer.status_code, "manage.py prepare" in answer.content.decode()) == (500, True)
    assert len(errors(caplog)) == 1


def test_where_the_page_that_says_so_fails_too_both_are_in_the_log(
    staff: Client, faulty: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any, **__: Any) -> Any:
        raise OSError("no template")

    monkeypatch.setattr(failures, "render", fault)
    staff.raise_request_exception = False
    answer = staff.get("/")
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert [str(record.exc_info[1]) for record in errors(caplog) if record.exc_info] == ["unforeseen", "no template"]


def test_an_address_that_takes_changes_only_is_a_page_with_a_way_on(staff: Client) -> None:
    for path in ("/keys/create/", "/logout/"):
        answer = staff.get(path)
        assert (answer.status_code, "POST" in answer.headers["Allow"]) == (405, True)
        assert "There is no page here" in answer.content.decode()
        assert 'href="/"' in answer.content.decode()


def test_whoever_is_not_logged_in_gets_no_menu_that_is_not_for_them(client: Client) -> None:
    html = client.get("/none/").content.decode()
    assert "There is nothing at this address" in html
    assert "/logout/" not in html


def test_a_name_that_is_not_allowed_is_told_with_the_setting_that_allows_it(client: Client) -> None:
    answer = client.get("/login/", headers={"Host": "evil.example"})
    assert (answer.status_code, "DLPROXY_ALLOWED_HOSTS" in answer.content.decode()) == (400, True)
    assert "evil.example" not in answer.content.decode()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/models/none/head/", 404, "not_found"),
        ("/users/", 403, "permission_denied"),
        ("/keys/create/", 405, "method_not_allowed"),
    ],
)
def test_a_script_of_a_page_is_told_in_words_that_it_can_show(
    viewer: Client, path: str, status: int, code: str
) -> None:
    answer = viewer.get(path, headers=HTMX)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("send", [Client.get, Client.post])
def test_a_script_whose_persons_login_has_ended_gets_no_login_page_in_place_of_a_part(
    client: Client, digits: Model, send: Callable[..., Any]
) -> None:
    path = "/system/" if send is Client.get else "/models/digits/tuning/mode/"
    answer = send(client, path, headers=HTMX)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


def test_whose_login_had_ended_comes_back_to_the_page_and_is_told_that_nothing_was_changed(
    client: Client, alice: User
) -> None:
    answer = client.post("/keys/create/", {"name": "ci"}, headers={"Referer": "http://testserver/keys/?state=active"})
    assert answer.headers["Location"] == "/login/?next=/keys/%3Fstate%3Dactive"
    credentials = {"username": "alice", "password": "a long password", "next": "/keys/?state=active"}
    page = client.post("/login/", credentials, follow=True).content.decode()
    assert "your last change was not made" in page


@pytest.mark.parametrize("referrer", ["", "http://evil.example/keys/", "//evil.example/", "javascript:x()"])
def test_nobody_is_led_to_another_site_after_the_login(client: Client, alice: User, referrer: str) -> None:
    answer = client.post("/keys/create/", {"name": "ci"}, headers={"Referer": referrer})
    assert answer.headers["Location"] == "/login/?next=/"


def test_an_expired_form_leads_back_to_its_page(alice: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    answer = client.post("/keys/create/", {"name": "ci"}, headers={"Referer": "http://testserver/keys/"})
    html = answer.content.decode()
    assert (answer.status_code, 'href="/keys/"' in html, answer.headers["X-Request-Id"] in html) == (403, True, True)


@pytest.mark.parametrize(
    ("accept", "kind"), [("text/html", "text/html; charset=utf-8"), ("*/*", failures.CONTENT_TYPE)]
)
def test_a_body_that_is_too_large_is_refused_in_the_senders_own_terms(accept: str, kind: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def unread(*_: Any) -> Any:
        raise AssertionError("the body must not be read")

    headers = [(b"content-length", b"%d" % (2 * SMALL_BYTES)), (b"accept", accept.encode())]
    scope = {"type": "http", "method": "POST", "path": "/keys/create/", "headers": headers}
    async_to_sync(BodyGuard(unread, 10 * SMALL_BYTES))(scope, unread, send)
    answered = dict(sent[0]["headers"])
    assert (sent[0]["status"], answered[b"content-type"].decode()) == (413, kind)
    assert answered[b"x-request-id"] in sent[1]["body"]


def test_an_address_that_takes_changes_only_is_a_page_in_the_asgi_server_too(alice: User) -> None:
    client = AsyncClient(raise_request_exception=False)
    client.force_login(alice)
    answer = async_to_sync(client.get)("/keys/create/")
    assert (answer.status_code, "There is no page here" in answer.content.decode()) == (405, True)


def test_a_page_that_answers_a_form_stands_under_the_forms_page_and_its_language_form_leads_there(
    staff: Client,
) -> None:
    fields = {"name": "ci", "scope": "inference", "all_models": "true", "weight": "1"}
    answer = staff.post("/keys/create/", fields, headers={"Referer": "http://testserver/keys/?state=active"})
    html = answer.content.decode()
    assert answer.status_code == 201
    assert 'data-address="/keys/?state=active"' in html
    assert '<input type="hidden" name="next" value="/keys/?state=active">' in html
    assert "data-address" not in staff.get("/keys/").content.decode()


@pytest.mark.parametrize(
    "sent", [{"data": {"page_user": "{pk}"}}, {"headers": {"X-Page-User": "{pk}", "HX-Request": "true"}}]
)
def test_a_page_of_one_login_changes_nothing_in_anothers_name(
    staff: Client, alice: User, bob: User, sent: dict[str, dict[str, str]]
) -> None:
    def create(name: str, owner: User) -> Any:
        given = {part: {key: text.format(pk=owner.pk) for key, text in pairs.items()} for part, pairs in sent.items()}
        fields = {"name": name, "scope": "inference", "all_models": "true", "weight": "1", **given.pop("data", {})}
        return staff.post("/keys/create/", fields, **given)

    refused = create("others", bob)
    assert (refused.status_code, "alice has logged in in another tab" in refused.content.decode()) == (403, True)
    assert not ApiKey.objects.exists()
    assert create("own", alice).status_code == 201


def test_a_script_of_another_logins_page_changes_nothing_over_the_api(alice: User, bob: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    client.get("/")
    token = client.cookies["dlproxy_csrf"].value

    def create(owner: User) -> Any:
        headers = {"X-CSRFToken": token, "X-Page-User": str(owner.pk)}
        return client.post("/api/v1/models", {"name": "net"}, content_type="application/json", headers=headers)

    refused = create(bob)
    assert (refused.status_code, refused.json()["code"]) == (403, "other_login")
    assert create(alice).status_code == 201


def test_no_way_back_leads_to_another_host(staff: Client) -> None:
    answer = staff.post("/no/page/", headers={"Referer": "http://testserver//elsewhere.example/keys/"})
    html = answer.content.decode()
    assert "/%2Felsewhere.example/keys/" in html
    assert '"//elsewhere' not in html
