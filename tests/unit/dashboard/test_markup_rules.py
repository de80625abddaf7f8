"""What the strict content security policy asks of templates and scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_w11_no_inline_script_style_or_handler(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"<style\b|\sstyle=|\son[a-z]+=|javascript:", text)
    assert "|safe" not in text
    assert "autoescape off" not in text


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_htmx_triggers_use_no_filter_that_needs_eval(path: Path) -> None:
    assert not re.search(r'hx-trigger="[^"]*\[|hx-on|hx-vals="js:', path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_w11_scripts_put_text_into_the_page_as_text_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_modules_import_files_that_exist(path: Path) -> None:
    for target in re.findall(r'from "([^"]+)"', path.read_text(encoding="utf-8")):
        resolved = (path.parent / target).resolve()
        vendored = "vendor" in resolved.parts
        assert vendored or resolved.is_file(), target


def test_every_post_form_carries_a_csrf_token() -> None:
    for path in TEMPLATES:
        for form in re.findall(r'<form[^>]*method="post".*?</form>', path.read_text(encoding="utf-8"), re.DOTALL):
            assert "{% csrf_token %}" in form or 'id="upload"' in form, path.name


def test_third_party_assets_are_pinned_with_integrity_and_without_a_registry() -> None:
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    for name, version in {**wanted["dependencies"], **wanted["devDependencies"]}.items():
        assert lock[f"node_modules/{name}"]["version"] == version
    for name, package in lock.items():
        assert not name or package["integrity"].startswith("sha512-"), name
        assert "resolved" not in package, name


def test_text_that_may_scroll_is_reached_by_keyboard() -> None:
    for path in TEMPLATES:
        for tag in re.findall(r"<pre[^>]*>", path.read_text(encoding="utf-8")):
            assert 'tabindex="0"' in tag, f"{path.name}: {tag}"
