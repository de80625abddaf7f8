"""Every page renders for those who may see it, and for nobody else; nothing inline, everything escaped."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLPattern

from models_admin.dashboard.urls import urlpatterns
from models_admin.models import Model

PAGES = [
    "/",
    "/problems/",
    "/overview/rows/",
    "/models/digits/",
    "/models/empty/",
    "/models/digits/head/",
    "/models/empty/head/?empty=model",
    "/models/digits/versions/",
    "/models/digits/versions/?archived=true&deleted=5",
    "/deleted/",
    "/models/digits/versions/compare/?a=1&b=5",
    "/models/digits/versions/compare/?a=x",
    "/models/empty/versions/compare/",
    "/models/digits/versions/list/",
    "/models/empty/versions/",
    "/models/digits/rollout/",
    *[f"/models/digits/versions/{number}/" for number in range(1, 6)],
    "/models/digits/versions/3/steps/",
    "/models/digits/try/",
    "/models/empty/try/",
    "/models/digits/policy/",
    "/models/digits/policy/history/",
    "/models/digits/policy/history/1/",
    "/models/digits/cache/",
    "/models/empty/cache/",
    "/models/digits/cache/now/",
    "/models/digits/tuning/",
    "/models/empty/tuning/",
    "/models/digits/tuning/now/",
    "/models/digits/tuning/feed/",
    "/models/digits/capacity/",
    "/models/empty/capacity/",
    "/tuning/",
    "/tuning/?model=digits",
    "/tuning/running/",
    "/tuning/feed/",
    "/instances/",
    "/instances/?model=digits&state=ready",
    "/requests/",
    "/requests/?model=digits&sort=slowest&status=error&scale=own&id=x&open=5",
    "/models/digits/requests/",
    "/models/digits/processes/",
    "/models/digits/processes/?version=1&state=ready&log=1",
    "/keys/",
    "/keys/?name=x&state=revoked&page=99999999999999999999",
    "/audit/",
    "/audit/?actor=alice&action=model.create&object=digits&since=2020-01-01&until=2999-01-01",
    "/audit/?since=nonsense&until=2020-99-99&page=99999999999999999999",
    "/styleguide/",
    "/system/",
]
FORMS = ["/models/new", "/users/", "/account/password/"]


def assert_no_inline(html: str) -> None:
    for attributes in re.findall(r"<script\b([^>]*)>", html):
        assert "src=" in attributes or 'type="application/json"' in attributes, attributes
    assert not re.search(r"<style\b|\sstyle=\"|\son[a-z]+=\"|javascript:", html)


@pytest.mark.parametrize("url", PAGES + FORMS)
def test_staff_see_every_page(staff: Client, digits: Model, url: str) -> None:
    response = staff.get(url)
    assert response.status_code == 200
    html = response.content.decode()
    assert_no_inline(html)
    assert "<script>alert" not in html
    assert "<b>.pt" not in html
    assert "<i>." not in html


@pytest.mark.parametrize("url", PAGES)
def test_viewers_see_every_page_without_a_form_that_changes_anything(viewer: Client, digits: Model, url: str) -> None:
    response = viewer.get(url)
    assert response.status_code == 200
    actions = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', response.content.decode()))
    readonly = {
        "/logout/",
        "/language/",
        "/models/digits/policy/save/",
    }  # the policy is shown in a disabled form without a button
    assert actions <= readonly


@pytest.mark.parametrize("url", PAGES + FORMS)
def test_strangers_are_sent_to_the_login(client: Client, digits: Model, url: str) -> None:
    response = client.get(url)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login/?next=")


NO_CHANGES = {
    "model-compare",
    "audit-csv",
    "audit-jsonl",
    "users",
    "password",
    "instance",
    "login",
    "logout",
    "language",
    "new-model",
    "version-steps",
    "model-policy-revision",
    "decisions",
    "model-decisions",
}
"""Pages whose address has no place in PAGES, or that are no change of the registry's."""


def changes() -> list[str]:
    """Every URL of the pages that takes a POST and nothing else."""
    found = []
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name in NO_CHANGES or pattern.name is None:
            continue
        url = "/" + str(pattern.pattern).replace("<model:name>", "digits").replace("<number:number>", "5")
        url = url.replace("<number:key_id>", "1").replace("<number:decision_id>", "1")
        url = url.replace("<number:user_id>", "1")
        if url not in PAGES and "?" not in url:
            found.append(url)
    return found


def test_the_list_of_changes_is_the_urls_that_are_no_page() -> None:
    assert len(changes()) >= 15
    assert get_resolver()


@pytest.mark.parametrize("url", [*changes(), "/models/new"])
def test_a1_viewers_and_strangers_change_nothing(viewer: Client, client: Client, digits: Model, url: str) -> None:
    assert viewer.post(url).status_code == 403
    assert client.post(url).status_code == 302
    if url != "/models/new":
        assert viewer.get(url).status_code in {403, 405}


@pytest.mark.parametrize("url", [*changes(), "/models/new", "/logout/", "/login/"])
def test_a5_a_change_without_a_csrf_token_is_refused(alice: object, digits: Model, url: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)  # type: ignore[arg-type]
    assert client.post(url).status_code == 403


def test_a15_pages_carry_a_strict_policy_and_cannot_be_framed(staff: Client, digits: Model) -> None:
    headers = staff.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/models/none/", "There is no model named none."),
        ("/models/digits/versions/99/", "digits has no version 99."),
        ("/none/", "There is nothing at this address."),
    ],
)
def test_what_does_not_exist_is_a_404_in_the_pages_dress(staff: Client, digits: Model, url: str, words: str) -> None:
    response = staff.get(url)
    assert response.status_code == 404
    assert words in response.content.decode()
    assert 'aria-label="Main"' in response.content.decode()
