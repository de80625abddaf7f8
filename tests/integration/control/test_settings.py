"""Settings from the environment, each in a process of its own (A17, F39)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SHOW = (
    "import django, json; django.setup()\n"
    "from django.conf import settings as s\n"
    "print(json.dumps({n: str(getattr(s, n, None)) for n in "
    "('DEBUG', 'SECRET_KEY', 'ALLOWED_HOSTS', 'CELERY_BROKER_URL', 'SESSION_COOKIE_SECURE', 'DATABASES')}))"
)


def python(home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPYCACHEPREFIX") if name in os.environ}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={
            **kept,
            "DJANGO_SETTINGS_MODULE": "dlproxy_site.settings.default",
            "DLPROXY_HOME": str(home),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"DLPROXY_DEBUG": "1"}, "DLPROXY_DEBUG"),
        ({"DLPROXY_DEBUG": "1", "DLPROXY_MODE": "development", "DLPROXY_HOST": "0.0.0.0"}, "loopback"),
        ({"DLPROXY_ALLOWED_HOSTS": "*"}, "wildcard"),
        ({"DLPROXY_ALLOWED_HOSTS": "a.example,*"}, "wildcard"),
        ({"DLPROXY_SECRET_KEY": ""}, "DLPROXY_SECRET_KEY"),
        ({"DLPROXY_SECRET_KEY": "short"}, "DLPROXY_SECRET_KEY"),
        ({"DLPROXY_SECRET_KEY": "a" * 80}, "DLPROXY_SECRET_KEY"),
        ({"DLPROXY_MODE": "prod"}, "DLPROXY_MODE"),
        ({"DLPROXY_PORT": "eighty"}, "DLPROXY_PORT"),
        ({"DLPROXY_PORT": "70000"}, "DLPROXY_PORT"),
        ({"DLPROXY_HTTPS": "maybe"}, "DLPROXY_HTTPS"),
        ({"DLPROXY_DEVICE": "gpu"}, "DLPROXY_DEVICE"),
        ({"DLPROXY_CACHE_REDIS_URL": "http://localhost"}, "DLPROXY_CACHE_REDIS_URL"),
        ({"DLPROXY_CACHE_REDIS_URL": "redis://localhost:many"}, "DLPROXY_CACHE_REDIS_URL"),
        ({"DATABASE_URL": "mysql://root@localhost/x"}, "DATABASE_URL"),
    ],
)
def test_a17_unsafe_or_senseless_settings_stop_the_process_with_their_name(
    tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    done = python(tmp_path, "-c", SHOW, **environment)
    assert done.returncode != 0
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        ("DATABASE_URL", "postgres://dlproxy:hush/hush@127.0.0.1/dlproxy"),
        ("DATABASE_URL", "postgres://dlproxy:hush@[::1/dlproxy"),
        ("DATABASE_URL", "postgresq://dlproxy:hush@localhost/dlproxy"),
        ("DATABASE_URL", "hush"),
        ("REDIS_URL", "redis://:hush/hush@localhost:6379/0"),
        ("REDIS_URL", "redis://:hush@localhost:many/0"),
        ("REDIS_URL", "redis://:hush@[::1/0"),
        ("REDIS_URL", "http://:hush@localhost/0"),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line_without_its_password(
    tmp_path: Path, variable: str, address: str
) -> None:
    done = python(tmp_path, "-m", "dlproxy_site.serve", **{variable: address})
    assert done.returncode == os.EX_CONFIG
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"server: {variable}: use ")
    assert "hush" not in line


def test_f39_a_data_directory_that_cannot_be_made_stops_the_process_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        ended = python(home, "manage.py", "check")
        assert ended.returncode != 0
        assert f"DLPROXY_HOME={home} cannot be used" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a17_an_empty_key_file_stops_the_process(tmp_path: Path) -> None:
    (tmp_path / "secret-key").touch()
    assert "signing key" in python(tmp_path, "-c", SHOW).stderr


def test_f16_a_signing_key_for_which_there_is_no_room_is_said_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))\n"
        "sys.argv = ['manage.py', 'prepare']; runpy.run_path('manage.py', run_name='__main__')"
    )
    done = python(tmp_path, "-c", code)
    (line,) = done.stderr.splitlines()
    assert line == f"manage.py: The signing key in {tmp_path}/secret-key cannot be made or read: File too large."
    assert done.returncode == os.EX_CONFIG
    assert [path.name for path in tmp_path.iterdir() if "secret" in path.name] == []


def test_the_signing_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    import json

    home = tmp_path / "new"
    first, second = (json.loads(python(home, "-c", SHOW).stdout) for _ in range(2))
    assert first["SECRET_KEY"] == second["SECRET_KEY"]
    assert len(first["SECRET_KEY"]) >= 50
    assert stat.S_IMODE((home / "secret-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert first["DEBUG"] == "False"
    assert "*" not in first["ALLOWED_HOSTS"]
    other = json.loads(python(tmp_path / "other", "-c", SHOW).stdout)
    assert other["SECRET_KEY"] != first["SECRET_KEY"]


def test_only_their_owner_reads_database_and_secrets_in_a_folder_that_everybody_may_look_into(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("first-run.json", "dlproxy.sqlite3-wal"):
        (tmp_path / name).touch(mode=0o644)
    connect = "import django; django.setup(); from django.db import connection; connection.ensure_connection()\n"
    write = "connection.cursor().execute('CREATE TABLE t (a)'); import os; os._exit(0)"  # as killed: -wal stays
    assert python(tmp_path, "-c", connect + write).returncode == 0
    other = {"DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite3"}
    assert python(tmp_path, "-c", connect + write, **other).returncode == 0
    modes = {path.name: oct(path.stat().st_mode)[-3:] for path in tmp_path.iterdir() if path.is_file()}
    databases = {f"{name}.sqlite3{end}" for name in ("dlproxy", "other") for end in ("", "-wal", "-shm")}
    assert modes == dict.fromkeys({*databases, "first-run.json", "secret-key"}, "600")


def test_redis_and_postgresql_are_taken_from_their_addresses(tmp_path: Path) -> None:
    done = python(tmp_path, "-c", SHOW, REDIS_URL="redis://127.0.0.1:1/0", DATABASE_URL="postgres://u:p@127.0.0.1:1/x")
    assert "redis://127.0.0.1:1/0" in done.stdout
    assert "statement_timeout" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("https", ["0", "1"])
def test_django_s_own_checks_for_deployment_find_nothing(tmp_path: Path, https: str) -> None:
    done = python(
        tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING",
        DLPROXY_HTTPS=https, DLPROXY_ALLOWED_HOSTS="proxy.example",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_no_migration_is_missing(tmp_path: Path) -> None:
    done = python(tmp_path, "manage.py", "makemigrations", "--check", "--dry-run", "--skip-checks")
    assert done.returncode == 0, done.stdout
