"""The overview's list: filter, order and page stand in the URL; targets are told; queries stay few."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from django.test import Client
from live_cast import report

from models_admin.models import Model, Policy
from models_admin.services import models
from models_admin.services.actors import Actor
from models_admin.templatetags import ui
from proxy import gateway
from proxy.core.gpus import MOST_NAMED
from proxy.core.reports import GpuReport, InstanceReport, MachineReport


def names(html: str) -> list[str]:
    return re.findall(r'<tr data-model="([^"]+)"', html)


@pytest.fixture
def three(actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("calm", "busy", "none"):
        models.create_model(actor=actor, name=name)
    Policy.objects.filter(model__name="busy").update(latency_target_ms=1, latency_quantile=99)
    second = report(1, calm=2, busy=50)
    monkeypatch.setattr(gateway, "latest_report", lambda: second)


def test_the_list_is_by_name_unless_the_address_says_otherwise(staff: Client, three: None) -> None:
    assert names(staff.get("/").content.decode()) == ["busy", "calm", "none"]
    assert names(staff.get("/?sort=requests").content.decode()) == ["busy", "calm", "none"]
    assert names(staff.get("/?sort=evil").content.decode()) == ["busy", "calm", "none"]
    html = staff.get("/?q=AL&sort=requests").content.decode()
    assert names(html) == ["calm"]
    assert '<option value="requests" selected>' in html


def test_a_state_narrows_and_an_unknown_one_does_not(staff: Client, three: None) -> None:
    assert len(names(staff.get("/?state=empty").content.decode())) == 3
    assert len(names(staff.get("/?state=evil").content.decode())) == 3


def test_a_latency_above_its_target_is_marked(staff: Client, three: None) -> None:
    html = staff.get("/?q=busy").content.decode()
    assert 'data-target="1" data-held="p99_ms"' in html
    assert "p99 ≤ 1 ms" in html


def test_a_page_has_fifty_rows_and_keeps_the_filter(staff: Client, db: None) -> None:
    made = Model.objects.bulk_create(Model(name=f"m-{number:04d}") for number in range(120))
    Policy.objects.bulk_create(Policy(model=model) for model in made)
    first = staff.get("/?q=m-").content.decode()
    assert len(names(first)) == 50
    assert "?q=m-&amp;page=2" in first
    assert names(staff.get("/?q=m-&page=3").content.decode())[-1] == "m-0119"
    assert len(names(staff.get("/?q=m-&page=999").content.decode())) == 20


def test_the_queries_do_not_grow_with_the_models(
    staff: Client, db: None, django_assert_max_num_queries: object
) -> None:
    made = Model.objects.bulk_create(Model(name=f"m-{number:04d}") for number in range(1000))
    Policy.objects.bulk_create(Policy(model=model) for model in made)
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        staff.get("/")


def test_a_gpu_says_which_instances_sit_on_it_and_leads_to_them(
    staff: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = tuple(GpuReport(number, f"H200 <{number}>", 1, 2, 3, 40, 70.0, "", f"cuda:{number}") for number in range(2))
    row = InstanceReport("net/1042#1", "net", 1042, 7, "ready", "cuda:1", 1.0, 1, 0, None)
    others = [replace(row, model=f"m{number}", version=1) for number in range(MOST_NAMED + 1)]
    second = replace(report(1), instances=(row, row, *others), machine=MachineReport(5.0, (5.0,), 1, 2, gpus))
    monkeypatch.setattr(gateway, "latest_report", lambda: second)
    html = staff.get("/").content.decode()
    panel = html[html.index('data-machine="gpus"') :]
    first, other = panel.split("1: H200 &lt;1&gt;")
    assert "0: H200 &lt;0&gt;" in first
    assert "No instance sits on it." in first
    figures = re.findall(r"<dd>(.*?)</dd>", first)
    assert figures == ["1%", "2 B of 3 B", "40 °C", "70 W"]  # as the script fills them: nothing moves when it does
    assert '<a href="/models/net/processes/?version=1042">net/1042</a>: 2,' in other
    assert other.count("/processes/?version=") == MOST_NAMED
    assert "and 2 more versions" in other


def test_why_there_is_no_gpu_is_kept_as_it_was_said_so_that_the_script_leaves_its_translation(
    staff: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = report(1)
    monkeypatch.setattr(gateway, "latest_report", lambda: second)
    monkeypatch.setattr(ui, "_", lambda text: f"translated: {text}")
    html = staff.get("/").content.decode()
    assert f'data-note="{second.machine.gpu_note}"' in html
    assert f">translated: {second.machine.gpu_note}<" in html
