"""The line that a person pastes: it must work in a shell, and it must not carry the key."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from dlproxy_site.announce import Address, curl_line, forget_torn, keep_urls_true, read_first_run, write_demo_request
from models_admin.management.demo.first_run import write_private

KEY = "dlp_" + "aB3-_" * 8 + "xyz"
FIRST_RUN = {
    "admin_password": 'p$w`d "quoted"',
    "api_key": KEY,
    "demo_request": {"inputs": [{"name": "image", "shape": [1], "datatype": "FP32", "data": [0.5]}]},
    "demo_label": 7,
}


@pytest.fixture
def address(tmp_path: Path) -> Address:
    home = tmp_path / "a home"
    home.mkdir()
    return Address(home, "127.0.0.1", 8000, 8001)


@pytest.mark.parametrize("indent", [None, 2])
def test_the_pasted_line_sends_the_demo_request_with_the_key_of_the_file(address: Address, indent: int | None) -> None:
    (address.home / "first-run.json").write_text(json.dumps(FIRST_RUN, indent=indent))
    bin_dir = address.home / "bin"
    bin_dir.mkdir()
    fake = bin_dir / "curl"
    fake.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    fake.chmod(0o755)
    line = curl_line(address, read_first_run(address.home))
    path = f"{bin_dir}:{os.environ['PATH']}"
    words = subprocess.run(
        ["sh", "-c", line], env={"PATH": path}, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert f"Authorization: Bearer {KEY}" in words
    assert "http://127.0.0.1:8001/v2/models/digits/infer" in words
    body = Path(next(word for word in words if word.startswith("@"))[1:])
    assert json.loads(body.read_text()) == FIRST_RUN["demo_request"]


def test_the_line_does_not_carry_the_key(address: Address) -> None:
    assert KEY not in curl_line(address, FIRST_RUN)


def test_what_a_killed_writer_left_of_the_secrets_goes_with_the_next_start(address: Address) -> None:
    kept = address.home / "first-run.json"
    for path in (kept, address.home / ".first-run.json.4711", address.home / ".secret-key.4711.a0b1c2d3"):
        path.write_text(json.dumps(FIRST_RUN))
    forget_torn(address.home)
    assert list(address.home.iterdir()) == [kept]


def test_a_writer_that_fails_half_way_leaves_nothing_of_the_secrets(address: Address) -> None:
    with pytest.raises(TypeError):
        write_private(address.home / "first-run.json", {"admin_password": "a", "api_key": object()})
    assert list(address.home.iterdir()) == []


def test_without_the_first_runs_file_the_line_has_placeholders(address: Address) -> None:
    assert read_first_run(address.home) is None
    line = curl_line(address, None)
    assert "MODEL" in line
    assert "KEY" in line


def test_a_demo_request_that_is_already_text_is_written_as_it_is(address: Address) -> None:
    path = write_demo_request(address.home, {"demo_request": '{"inputs": []}'})
    assert path.read_text() == '{"inputs": []}'


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8001"),
        ("0.0.0.0", "http://127.0.0.1:8001"),
        ("::", "http://[::1]:8001"),
        ("models.example.org", "http://models.example.org:8001"),
    ],
)
def test_the_printed_url_can_be_reached_from_this_machine(host: str, url: str) -> None:
    assert Address(Path(), host, 8000, 8001).inference_url == url


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "[" * 100_000, '{"api_key": "' + KEY + '"}'])
def test_a_spoilt_first_runs_file_counts_as_none(address: Address, content: str) -> None:
    (address.home / "first-run.json").write_text(content)
    keep_urls_true(address)
    assert read_first_run(address.home) is None
    assert (address.home / "first-run.json").read_text() == content


def test_the_first_runs_file_follows_the_ports_of_a_later_start(address: Address) -> None:
    path = address.home / "first-run.json"
    path.write_text(json.dumps({**FIRST_RUN, "dashboard_url": "http://127.0.0.1:9/", "inference_url": "x"}))
    keep_urls_true(address)
    kept = json.loads(path.read_text())
    assert kept == {**FIRST_RUN, "dashboard_url": address.dashboard_url, "inference_url": address.inference_url}
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.stat().st_mtime_ns
    keep_urls_true(address)
    assert path.stat().st_mtime_ns == before
    assert [entry.name for entry in address.home.iterdir()] == ["first-run.json"]


def test_f16_a_disk_that_takes_no_file_costs_the_demo_line_only(address: Address) -> None:
    (address.home / "demo-request.tmp").mkdir()
    assert "REQUEST.json" in curl_line(address, FIRST_RUN)
