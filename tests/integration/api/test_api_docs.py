"""The OpenAPI document is complete and valid; Swagger UI works from this server alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import pytest
from api_cast import Caller
from django.contrib.staticfiles import finders
from django.core.management import call_command


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    from drf_spectacular.generators import SchemaGenerator

    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def test_the_document_is_valid_and_without_warnings() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, o) for path, methods in document["paths"].items() for method, o in methods.items()]


def test_every_operation_says_what_it_does_and_how_it_refuses(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) >= 32
    for path, method, operation in found:
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert len(operation["tags"]) == 1, where
        assert {"400", "401", "403", "406", "503"} <= set(operation["responses"]), where
        if method != "get":
            assert {"411", "413", "415"} <= set(operation["responses"]), where
        assert operation["security"] == [{"apiKey": []}, {"session": []}], where
        if "{" in path:
            assert "404" in operation["responses"], where
    ids = [operation["operationId"] for _, _, operation in found]
    assert len(ids) == len(set(ids))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/models/digits?colour=red", {}, 400),
        ("GET", "/models/digits", {"Accept": "text/html"}, 406),
        ("POST", "/models/digits/load", {"Content-Type": "text/plain"}, 415),
        ("DELETE", "/models/none", {"Content-Encoding": "gzip"}, 415),
        ("POST", "/models/digits/load", {"Content-Type": "application/json", "body": "large"}, 413),
    ],
)
def test_what_any_request_is_refused_with_is_among_them(
    document: dict[str, Any], admin: Caller, digits: Any, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    body = b" " * 2**21 if "body" in headers else b"x" if method == "POST" else None
    answer = admin(method, path, body, **{name: value for name, value in headers.items() if name != "body"})
    assert answer.status_code == status
    route = "/api/v1" + re.sub(r"/models/[^/?]+", "/models/{name}", path).split("?")[0]
    content = document["paths"][route][method.lower()]["responses"][str(status)]["content"]
    assert list(content) == [answer.headers["Content-Type"]] == ["application/problem+json"]


def test_lists_document_their_filters_and_pages(document: dict[str, Any]) -> None:
    names = {p["name"] for p in document["paths"]["/api/v1/decisions"]["get"]["parameters"]}
    assert names == {"model", "knob", "status", "reason", "actor", "since", "until", "ordering", "page", "page_size"}


def test_changes_of_revised_things_document_if_match(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        if "412" in operation["responses"]:
            # Uploads in pieces answer 412 to another version of their protocol.
            assert {"If-Match", "Tus-Resumable"} & {p["name"] for p in operation["parameters"]}, (path, method)


@pytest.mark.django_db
def test_the_document_is_served_to_any_caller(inference: Caller) -> None:
    answer = inference("GET", "/schema")
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.")


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "script" and "src" not in named:
            self.inline_scripts += 1
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


@pytest.mark.django_db
def test_swagger_ui_needs_nothing_but_this_server_and_no_inline_script(viewer: Caller) -> None:
    page = viewer("GET", "/docs/")
    assert page.status_code == 200
    links = _Links()
    links.feed(page.content.decode())
    assert links.inline_scripts == 0
    assert all(link.startswith("/") and not link.startswith("//") for link in links.found)
    for link in links.found:
        if link.startswith("/static/"):
            assert finders.find(link.removeprefix("/static/")), link
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy + ";"
    assert "frame-ancestors 'none'" in policy
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "'unsafe-inline'" not in viewer("GET", "/models").headers["Content-Security-Policy"]
    script = viewer("GET", "/docs/?script=")
    assert script.headers["Content-Type"] == "application/javascript"
    assert '"/api/v1/schema"' in script.content.decode().replace("\\u002D", "-")
    assert re.search(r'headers\["X-CSRFTOKEN"\] = "\w+"', script.content.decode())


@pytest.mark.django_db
def test_a_stranger_is_sent_to_log_in(stranger: Caller) -> None:
    answer = stranger("GET", "/docs/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/login/?next=/api/v1/docs/")
