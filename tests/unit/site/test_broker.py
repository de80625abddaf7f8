"""The embedded broker: whole messages or none, each taken once, bounded, broken ones dropped."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from kombu import Connection

from dlproxy_site import broker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    messages = tmp_path / "messages"
    messages.mkdir()
    return messages


def channel(folder: Path) -> Any:
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(folder.parent / "c"),
    }
    return Connection("embedded://localhost", transport_options=options).default_channel


def test_messages_come_out_in_order_and_once_even_for_two_consumers(folder: Path) -> None:
    one, other = channel(folder), channel(folder)
    for number in range(4):
        one._put("bells", {"n": number})
    assert [one._get("bells")["n"], other._get("bells")["n"], one._get("bells")["n"]] == [0, 1, 2]
    assert other._get("bells")["n"] == 3
    with pytest.raises(Empty):
        one._get("bells")
    assert list(folder.iterdir()) == []


def test_messages_survive_a_restart(folder: Path) -> None:
    channel(folder)._put("bells", {"n": 1})
    assert channel(folder)._get("bells") == {"n": 1}


def test_queues_do_not_take_each_other_s_messages(folder: Path) -> None:
    channel(folder)._put("bells", {"n": 1})
    with pytest.raises(Empty):
        channel(folder)._get("other")


@pytest.mark.parametrize("content", [b"", b'{"n": 1', b"\xff\xfe", b"[]"])
def test_a_broken_message_is_dropped_and_the_next_one_taken(
    folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "00000000000000000001_a.bells.msg").write_bytes(content)
    channel(folder)._put("bells", {"n": 2})
    with caplog.at_level(logging.WARNING):
        assert channel(folder)._get("bells") == {"n": 2}
    assert "broken" in caplog.text
    assert list(folder.iterdir()) == []


def test_a_half_written_message_is_not_seen(folder: Path) -> None:
    (folder / ".00000000000000000001_a.bells.msg.part").write_bytes(b'{"n"')
    with pytest.raises(Empty):
        channel(folder)._get("bells")


def test_what_a_killed_writer_or_reader_left_goes_and_what_another_is_writing_stays(folder: Path) -> None:
    left = [folder / ".00000000000000000001_a.bells.msg.part", folder / ".00000000000000000002_b.bells.msg.taken"]
    written_now = folder / ".00000000000000000003_c.other.msg.part"
    for path in (*left, written_now):
        path.write_bytes(b'{"n"')
    for path in left:
        long_ago_s = path.stat().st_mtime - broker.ABANDONED_AFTER_S - 1
        os.utime(path, (long_ago_s, long_ago_s))
    sender = channel(folder)
    sender._put("bells", {"n": 1})
    assert sender._get("bells") == {"n": 1}
    assert list(folder.iterdir()) == [written_now]


def test_a_reader_that_is_killed_leaves_nothing_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    sender = channel(folder)
    sender._put("bells", {"n": 1})
    for step in ("read_bytes", "unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, step, die)
            with pytest.raises(Killed):
                sender._get("bells")
        assert [path.name[0] for path in folder.iterdir()] == ["0"], step
    assert sender._get("bells") == {"n": 1}


def test_a_message_that_the_disk_does_not_take_leaves_nothing(folder: Path) -> None:
    bells = channel(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, limits[1]))
        with pytest.raises(OSError, match="File too large"):
            bells._put("bells", {"n": "longer than eight bytes"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(folder.iterdir()) == []


def test_only_the_newest_messages_are_kept_while_nobody_reads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "MAX_MESSAGES", 3)
    sender = channel(folder)
    for number in range(10):
        sender._put("bells", {"n": number})
    assert [sender._get("bells")["n"] for _ in range(3)] == [7, 8, 9]


def test_who_waits_for_a_message_without_end_is_woken_to_look_whether_it_shall_stop(folder: Path) -> None:
    bells = channel(folder)
    for timeout in (None, 3600):
        with pytest.raises(TimeoutError):
            bells.connection.drain_events(bells.connection.client, timeout=timeout)
