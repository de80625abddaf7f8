"""Logging in and out."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from models_admin.dashboard import login_limit

RIGHT = {"username": "alice", "password": "a long password"}
WRONG = {"username": "alice", "password": "guess"}


def test_the_right_password_opens_the_overview(client: Client, alice: User) -> None:
    response = client.post("/login/", RIGHT)
    assert (response.status_code, response.headers["Location"]) == (302, "/")


def test_a6_logging_in_makes_a_new_session(client: Client, alice: User) -> None:
    client.get("/login/")
    client.session.save()
    client.cookies["dlproxy_session"] = "0" * 32
    client.post("/login/", RIGHT)
    assert client.cookies["dlproxy_session"].value != "0" * 32


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:x()", "/\\evil.example"])
def test_a15_the_next_page_is_never_another_site(client: Client, alice: User, target: str) -> None:
    response = client.post("/login/", {**RIGHT, "next": target})
    assert response.headers["Location"] == "/"


def test_a13_guessing_is_slowed_down_with_429_and_retry_after(client: Client, alice: User) -> None:
    for _ in range(login_limit.MAX_FAILURES_PER_NAME):
        assert client.post("/login/", WRONG).status_code == 200
    for credentials in (WRONG, RIGHT):
        response = client.post("/login/", credentials)
        assert response.status_code == 429
        assert response.headers["Retry-After"] == str(login_limit.WINDOW_S)


def test_a13_another_name_from_the_same_address_may_still_log_in(client: Client, alice: User, bob: User) -> None:
    for _ in range(login_limit.MAX_FAILURES_PER_NAME):
        client.post("/login/", WRONG)
    assert client.post("/login/", {**RIGHT, "username": "bob"}).status_code == 302


def test_a13_one_address_that_tries_many_names_is_slowed_down(client: Client, alice: User) -> None:
    for index in range(login_limit.MAX_FAILURES_PER_ADDRESS):
        login_limit.note_failure(f"name{index}", "127.0.0.1")
    assert client.post("/login/", RIGHT).status_code == 429


@pytest.mark.parametrize(
    ("others", "is_blocked"),
    [
        ("2001:db8:0:7::{index:x}", True),  # one household has all of these
        ("2001:db8:0:{index:x}::1", False),
        ("::ffff:192.0.2.{index}", False),  # each an IPv4 client of a socket for both
    ],
)
def test_a13_the_addresses_of_one_ipv6_network_are_one_client(client: Client, others: str, is_blocked: bool) -> None:
    for index in range(100, 100 + login_limit.MAX_FAILURES_PER_ADDRESS):
        login_limit.note_failure(f"name{index}", others.format(index=index))
    assert login_limit.is_blocked("alice", others.format(index=7)) is is_blocked


def test_a_right_password_forgets_the_failures_of_the_name(client: Client, alice: User) -> None:
    for _ in range(login_limit.MAX_FAILURES_PER_NAME - 1):
        client.post("/login/", WRONG)
    client.post("/login/", RIGHT)
    assert not login_limit.is_blocked("alice", "10.0.0.1")


def test_logging_out_ends_the_session(staff: Client) -> None:
    assert staff.get("/logout/").status_code == 405
    staff.post("/logout/")
    assert staff.get("/").status_code == 302


def test_f15_with_the_shared_cache_away_people_log_in_and_guessing_is_still_slowed_down(
    client: Client, alice: User, settings: Any
) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    login_limit._own.clear()
    for _ in range(login_limit.MAX_FAILURES_PER_NAME):
        assert client.post("/login/", {"username": "bob", "password": "wrong"}).status_code == 200
    assert client.post("/login/", {"username": "bob", "password": "wrong"}).status_code == 429
    assert client.post("/login/", {"username": "alice", "password": "a long password"}).status_code == 302
