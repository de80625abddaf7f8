"""bench/start reads the stages from what script/server says, and adds up what each took."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator

import psutil
import pytest

from bench import start
from bench.start import Moment, durations, stage_of
from dlproxy_site import processes
from tests.architecture.sources import ROOT

PATIENCE_S = 10.0


@pytest.mark.parametrize(
    ("line", "stage"),
    [
        ("[1/6] Python: /usr/bin/python3.11\n", "Python"),
        ("[3/6] packages (PyTorch among them: minutes the first time, nothing later)\n", "packages"),
        ("[5/6] static files, database and first data in /srv/in here\n", "static files, database and first data"),
        ("server | ready: dashboard http://127.0.0.1:8000/, inference http://127.0.0.1:8001/v2\n", "ready"),
        ("bootstrap: done before, nothing to do\n", None),
        ("web    | [1/6] a model's own words\n", None),
    ],
)
def test_a_line_begins_a_stage(line: str, stage: str | None) -> None:
    assert stage_of(line) == stage


def test_each_step_of_the_script_is_a_stage() -> None:
    steps = re.findall(r'^step (\d) (\d) "(.*)"$', (ROOT / "script/server").read_text(), re.MULTILINE)
    assert [number for number, _, _ in steps] == list("123456")
    assert all(stage_of(f"[{number}/{of}] {words}") for number, of, words in steps)


def test_a_stage_lasts_until_the_next_begins() -> None:
    moments = [Moment("assets", 1.0, 0.5), Moment("starting", 3.5, 1.5), Moment("ready", 4.0, 4.0)]
    assert durations(moments) == [
        {"stage": "assets", "seconds": 2.5, "cpu_s": 1.0},
        {"stage": "starting", "seconds": 0.5, "cpu_s": 2.5},
    ]


def alive_in(group: int) -> Iterator[psutil.Process]:
    """Processes of the group but those that only wait to be reaped."""
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                yield process


@pytest.mark.parametrize("said", ["", "echo '[1/6] Python: here'"])
def test_a_start_that_says_nothing_more_is_ended_with_all_that_it_started(tmp_path, monkeypatch, said: str) -> None:
    (tmp_path / "script").mkdir()
    server = tmp_path / "script/server"
    server.write_text(f"#!/bin/sh\n{said}\nsleep 600\n")
    server.chmod(0o755)
    groups: list[int] = []

    def kill_group(group: int) -> None:
        groups.append(group)
        processes.kill_group(group)

    monkeypatch.setattr(start, "ROOT", tmp_path)
    monkeypatch.setattr(start, "LIMIT_S", 0.5)
    monkeypatch.setattr(start, "kill_group", kill_group)
    with pytest.raises(RuntimeError, match="did not get ready"):
        start.start_once(dict(os.environ))
    assert groups
    end_s = time.monotonic() + PATIENCE_S
    while list(alive_in(groups[0])) and time.monotonic() < end_s:  # what is killed takes a moment to be gone
        time.sleep(0.01)
    assert not list(alive_in(groups[0]))
