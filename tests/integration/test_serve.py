"""The start of the server when something is wrong: one clear line, nothing left running, and a status that says
whether a later start may go better (75) or somebody must mend something first (78) (F39)."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlproxy_site.serve import CannotStart, check_static_files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def serve(home: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    port, inference_port = free_ports()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DLPROXY_")}
    environment = {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "dlproxy_site.settings.default",
        "DLPROXY_HOME": str(home),
        "DLPROXY_PORT": str(port),
        "DLPROXY_INFERENCE_PORT": str(inference_port),
        "DATABASE_URL": "",
        "REDIS_URL": "",
        **variables,
    }
    return subprocess.run(
        [sys.executable, *(command or ("-m", "dlproxy_site.serve"))],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str], status: int) -> str:
    """The only line of the standard error, after the checks that every refused start must pass."""
    assert done.returncode == status
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("variable", ["DLPROXY_PORT", "DLPROXY_INFERENCE_PORT"])
def test_f39_a_port_in_use_is_named_with_the_variable_to_change(tmp_path: Path, taken_port: int, variable: str) -> None:
    line = one_line(serve(tmp_path, **{variable: str(taken_port)}), os.EX_TEMPFAIL)
    assert line == f"server: port {taken_port} is in use; set {variable} to a free one"


def test_f39_two_equal_ports_are_refused(tmp_path: Path) -> None:
    line = one_line(serve(tmp_path, DLPROXY_PORT="18999", DLPROXY_INFERENCE_PORT="18999"), os.EX_CONFIG)
    assert "both 18999" in line


def test_f39_a_port_that_is_no_number_is_refused_by_the_settings(tmp_path: Path) -> None:
    assert "DLPROXY_PORT" in one_line(serve(tmp_path, DLPROXY_PORT="eighty"), os.EX_CONFIG)


def test_f39_an_address_that_is_not_this_machines_is_refused(tmp_path: Path) -> None:
    assert "cannot listen on 192.0.2.1" in one_line(serve(tmp_path, DLPROXY_HOST="192.0.2.1"), os.EX_TEMPFAIL)


def test_f39_a_missing_signing_key_is_refused(tmp_path: Path) -> None:
    line = one_line(serve(tmp_path, DLPROXY_SECRET_KEY=""), os.EX_CONFIG)
    assert line.startswith("server: ")
    assert "DLPROXY_SECRET_KEY" in line


def test_f39_the_management_command_says_what_is_wrong_in_one_line_too(tmp_path: Path) -> None:
    assert "DLPROXY_SECRET_KEY" in one_line(
        serve(tmp_path, "manage.py", "serve", DLPROXY_SECRET_KEY="short"), os.EX_CONFIG
    )


def test_f39_a_redis_that_does_not_answer_is_named(tmp_path: Path) -> None:
    port, _ = free_ports()
    line = one_line(serve(tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}/0"), os.EX_TEMPFAIL)
    assert f"Redis at 127.0.0.1:{port} does not answer" in line


def test_a_second_server_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = one_line(serve(tmp_path), os.EX_TEMPFAIL)
    assert f"another server runs on DLPROXY_HOME={tmp_path}" in line


def test_a_database_without_its_tables_is_refused(tmp_path: Path) -> None:
    line = one_line(serve(tmp_path, "manage.py", "serve"), os.EX_CONFIG)
    assert line.startswith("server: the database is not up to date: ")
    assert "script/server" in line


def test_a_checkout_without_static_files_is_refused(tmp_path: Path) -> None:
    built = tmp_path / "static_built"
    built.mkdir()
    with pytest.raises(CannotStart, match="not built; start with script/server") as refused:
        check_static_files(built)
    assert refused.value.status == os.EX_CONFIG
    (built / "staticfiles.json").touch()
    check_static_files(built)
