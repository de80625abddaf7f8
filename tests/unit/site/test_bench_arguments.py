"""Settings with which nothing can be measured end in one line, before anything is started."""

from __future__ import annotations

import sys

import pytest

from bench import compare, overload


@pytest.mark.parametrize(
    ("bench", "arguments", "words"),
    [
        (compare, ["--workloads", ""], "--workloads: give one or more of tiny, medium"),
        (compare, ["--workloads", "tiny,huge"], "--workloads: give one or more of tiny, medium"),
        (overload, ["--seconds", "2"], "--seconds: the first 2 of each phase do not count; give 2.5 or more"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    bench: object, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        bench.main()  # type: ignore[attr-defined]
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
