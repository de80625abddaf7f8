"""A page speaks what the visitor chose, else what the browser asks for, else English; the switch is a form."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from models_admin.models import Model

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_a_page_speaks_english_unless_asked(staff: Client, digits: Model) -> None:
    html = staff.get("/keys/").content.decode()
    assert '<html lang="en"' in html
    assert not CHINESE.search(html.replace("简体中文", ""))


def test_a_browser_that_prefers_chinese_gets_it(staff: Client, digits: Model) -> None:
    html = staff.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.5"}).content.decode()
    assert '<html lang="zh-hans"' in html
    assert "概览" in html


def test_the_switch_is_kept_and_goes_back_to_the_page(staff: Client, digits: Model) -> None:
    answer = staff.post("/language/", {"language": "zh-hans", "next": "/models/digits/policy/"})
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/models/digits/policy/"
    html = staff.get("/models/digits/policy/").content.decode()
    assert "最大批" in html
    assert "单次执行的行数" in html  # help texts of the fields, too
    staff.post("/language/", {"language": "en", "next": "/"})
    assert "Largest batch" in staff.get("/models/digits/policy/").content.decode()


def test_the_switch_works_before_the_login(client: Client, db: None) -> None:
    client.post("/language/", {"language": "zh-hans", "next": "/login/"})
    html = client.get("/login/").content.decode()
    assert "用户名" in html
    assert 'name="language"' in html


@pytest.mark.parametrize("there", ["https://elsewhere.example/", "//elsewhere.example"])
def test_the_switch_leads_nowhere_else(client: Client, db: None, there: str) -> None:
    assert "elsewhere" not in client.post("/language/", {"language": "zh-hans", "next": there}).headers["Location"]


def test_a_refusal_is_said_in_the_language_of_the_page(staff: Client, digits: Model) -> None:
    staff.post("/language/", {"language": "zh-hans", "next": "/"})
    answer = staff.post("/models/digits/delete/", {"revision": digits.revision}, follow=True)
    assert "请先卸载它" in answer.content.decode()


def test_a_program_without_a_language_reads_english(staff: Client, digits: Model) -> None:
    assert staff.get("/api/v1/models/none").json()["detail"] == "There is no model named none."
