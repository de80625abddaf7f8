"""Several web nodes on one database: a page says which of them it shows, and that there are others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from live_cast import report

from models_admin.models import NodeStatus
from models_admin.publishing import nodes
from models_admin.publishing.nodes import OFTEN, RECENT_S, Beside, own_node
from models_admin.publishing.reports import WEB_NODE, write_report

OTHER = "elsewhere:8000"


@pytest.fixture(autouse=True)
def nobody_heard() -> Iterator[None]:
    nodes.beside._heard.clear()
    yield
    nodes.beside._heard.clear()


@pytest.fixture
def person(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("ann", password="a long password"))
    return client


def second_of_another(node: str, ago_s: float = 1) -> None:
    """Another node's heartbeat, then a second of this one."""
    values = {"at": timezone.now() - timedelta(seconds=ago_s), "info": {"node": node}}
    NodeStatus.objects.update_or_create(name=WEB_NODE, defaults=values)
    write_report(report(1))


def test_a_page_names_the_node_that_it_shows_and_those_beside_it(person: Client) -> None:
    for _ in range(OFTEN):
        assert "node-words" not in person.get("/").content.decode()
        second_of_another(OTHER)
    for address in ("/", "/instances/", "/requests/"):
        html = person.get(address).content.decode()
        assert own_node() in html
        assert OTHER in html


@pytest.mark.parametrize(("node", "ago_s"), [(own_node(), 1), (OTHER, 60)])
def test_this_node_started_again_and_one_that_is_gone_are_no_others(person: Client, node: str, ago_s: float) -> None:
    for _ in range(OFTEN + 1):
        second_of_another(node, ago_s)
    assert "node-words" not in person.get("/").content.decode()


def test_a_node_that_is_heard_of_no_more_is_forgotten() -> None:
    beside = Beside()
    for now_s in range(OFTEN):
        beside.hear(OTHER, now_s)
    assert beside.names(OFTEN) == [OTHER]
    assert beside.names(OFTEN + RECENT_S) == []
