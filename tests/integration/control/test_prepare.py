"""What a start makes ready: static files when they have changed, tables unless they are newer, first data once."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError
from django.db.migrations.recorder import MigrationRecorder

from models_admin.management import schema, static_build
from models_admin.management.commands import prepare

CODE = [("auth", "0001"), ("models_admin", "0001"), ("models_admin", "0002")]
OF_TOMORROW = ("models_admin", "9999_of_tomorrow")


@pytest.fixture
def sources(settings: Any, tmp_path: Path) -> Path:
    """The only folder of static files; they are built into an empty one, as a server's are."""
    folder = tmp_path / "static"
    (folder / "js").mkdir(parents=True)
    (folder / "app.css").write_text("a { color: red }")
    (folder / "js/app.js").write_text('import "./part.js";')
    (folder / "js/part.js").write_text("export default 1;")
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [folder]
    settings.STATIC_ROOT = tmp_path / "built"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "models_admin.dashboard.static_files.ModuleStaticFilesStorage"},
    }
    return folder


def test_static_files_are_made_once(sources: Path) -> None:
    assert [static_build.build(), static_build.build()] == [True, False]


def test_a_source_that_has_changed_is_built_anew(sources: Path, settings: Any) -> None:
    static_build.build()
    (sources / "app.css").write_text("a { color: green }")
    assert static_build.build()
    built = json.loads((settings.STATIC_ROOT / "staticfiles.json").read_text())["paths"]["app.css"]
    assert "green" in (settings.STATIC_ROOT / built).read_text()


@pytest.mark.parametrize("change", ["added", "removed", "another whitenoise"])
def test_whatever_else_they_are_made_of_counts_too(sources: Path, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    static_build.build()
    if change == "added":
        (sources / "new.css").write_text("")
    elif change == "removed":
        (sources / "app.css").unlink()
    else:
        monkeypatch.setattr(static_build, "version", lambda _: "0")
    assert static_build.build()


@pytest.mark.parametrize("lost", ["*.css", "staticfiles.json", ".made-of"])
def test_a_built_file_that_is_gone_is_made_again(sources: Path, settings: Any, lost: str) -> None:
    static_build.build()
    for path in settings.STATIC_ROOT.glob(lost):
        path.unlink()
    assert static_build.build()
    assert list(settings.STATIC_ROOT.glob(lost))


def test_a_build_that_was_broken_off_is_begun_anew(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    static_build.build()
    (sources / "app.css").write_text("a { color: green }")
    with monkeypatch.context() as broken:
        broken.setattr(static_build, "call_command", lambda *_, **__: (_ for _ in ()).throw(OSError("no space")))
        with pytest.raises(OSError, match="no space"):
            static_build.build()
    assert static_build.build()


@pytest.mark.parametrize("half", ["app.*.css.gz", "app.css.gz", "app.css", "js/app.js"])
def test_a_file_that_was_broken_off_half_way_is_not_kept(sources: Path, settings: Any, half: str) -> None:
    def built() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in settings.STATIC_ROOT.rglob("*") if path.is_file()}

    (sources / "app.css").write_text("a { color: red }\n" * 100)
    static_build.build()
    whole = built()
    [broken_off] = settings.STATIC_ROOT.glob(half)
    broken_off.write_bytes(b"")
    (settings.STATIC_ROOT / ".made-of").unlink()
    assert static_build.build()
    assert built() == whole
    [compressed] = settings.STATIC_ROOT.glob("app.*.css.gz")
    assert gzip.decompress(whole[compressed]) == whole[compressed.with_suffix("")]


@pytest.mark.parametrize(
    ("applied", "unknown", "missing"),
    [
        (CODE, [], []),
        (CODE[:2], [], [("models_admin", "0002")]),
        ([*CODE, ("models_admin", "0003")], [("models_admin", "0003")], []),
        ([CODE[0], CODE[1], ("auth", "0002")], [("auth", "0002")], [("models_admin", "0002")]),
        ([*CODE, ("another_application", "0001")], [], []),
        ([], [], CODE),
    ],
)
def test_tables_are_judged_by_what_was_applied(applied: list[Any], unknown: list[Any], missing: list[Any]) -> None:
    assert schema.unknown_to(CODE, applied) == unknown
    assert schema.missing_from(CODE, applied) == missing


def refused(command: str, status: int = os.EX_CONFIG) -> str:
    """The only line that the refused command says."""
    said = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command(command, stdout=said, stderr=said)
    assert ended.value.code == status
    (line,) = said.getvalue().splitlines()
    return line


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["prepare", "serve"])
def test_a_database_that_newer_code_has_changed_is_left_alone(
    command: str, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    MigrationRecorder(connection).record_applied(*OF_TOMORROW)
    touched: list[Any] = []
    monkeypatch.setattr(prepare, "call_command", lambda *given, **_: touched.append(given))
    line = refused(command)
    assert line.startswith("server: the database is newer than this code: models_admin.9999_of_tomorrow was applied")
    assert "docs/operations.md" in line
    assert not touched


@pytest.mark.django_db
def test_nothing_is_served_from_tables_that_are_older_than_the_code() -> None:
    from django.db import connection

    MigrationRecorder(connection).record_unapplied("models_admin", schema_last())
    assert f"the database is not up to date: models_admin.{schema_last()} is missing" in refused("serve")


def schema_last() -> str:
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    return max(name for label, name in MigrationLoader(connection).disk_migrations if label == "models_admin")


@pytest.mark.parametrize(
    ("command", "words"), [("prepare", "could not be brought up to date"), ("serve", "not answer")]
)
def test_a_database_that_does_not_answer_is_said_in_one_line(
    command: str, words: str, sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> None:
        raise DatabaseError("connection refused\n\tIs the server running?")

    monkeypatch.setattr(schema, "refusal", away)
    line = refused(command, os.EX_TEMPFAIL)
    assert words in line
    assert "connection refused Is the server running?" in line


def test_a_full_disk_is_said_in_one_line(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_build, "call_command", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space")))
    assert refused("prepare", os.EX_TEMPFAIL) == "server: the static files could not be made: [Errno 28] No space"


@pytest.mark.django_db
def test_a_later_start_finds_everything_made(sources: Path, settings: Any, tmp_path: Path) -> None:
    settings.DLPROXY_HOME = tmp_path
    User.objects.create_user("somebody")
    said = io.StringIO()
    call_command("prepare", "--no-demo", stdout=said, stderr=said)
    assert said.getvalue() == "bootstrap: done before, nothing to do\n"
