"""Static files are compressed once, not at every start of the server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models_admin.dashboard.static_files import ModuleStaticFilesStorage

TEXT = "export const words = 'the same words again and again';\n" * 200


@pytest.fixture
def storage(tmp_path: Path) -> ModuleStaticFilesStorage:
    return ModuleStaticFilesStorage(location=tmp_path, base_url="/static/")


def test_what_is_compressed_already_stays_and_what_changed_is_compressed_anew(
    storage: ModuleStaticFilesStorage, tmp_path: Path
) -> None:
    plain, hashed = "app.js", "app.0123456789ab.js"
    for name in (plain, hashed):
        (tmp_path / name).write_text(TEXT)
    assert {name for name, _ in storage.compress_files([plain, hashed])} == {plain, hashed}
    assert list(storage.compress_files([plain, hashed])) == []
    later_s = (tmp_path / f"{plain}.gz").stat().st_mtime + 10
    for name in (plain, hashed):
        os.utime(tmp_path / name, (later_s, later_s))
    assert {name for name, _ in storage.compress_files([plain, hashed])} == {plain}


def test_source_maps_are_left_as_they_are(storage: ModuleStaticFilesStorage, tmp_path: Path) -> None:
    (tmp_path / "app.js.map").write_text(TEXT)
    assert list(storage.compress_files(["app.js.map"])) == []
