"""The server's log on a disk that is full (F16)."""

from __future__ import annotations

from contextlib import closing
from logging import LogRecord
from pathlib import Path

import pytest

from dlproxy_site.serve import LogFile


def line(text: str) -> LogRecord:
    return LogRecord("server", 20, "", 0, text, None, None)


def test_f16_lines_that_do_not_fit_are_dropped_without_words_and_later_ones_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "server.log"
    path.symlink_to("/dev/full")
    with closing(LogFile(path, maxBytes=1_000, backupCount=1, encoding="utf-8")) as log:
        for _ in range(3):
            log.emit(line("dropped"))
        path.unlink()
        log.emit(line("kept"))
        assert path.read_text() == "kept\n"
    assert capsys.readouterr().err == ""
