"""Why an instance ended can be said in the reader's language; what leaves the process is plain text."""

from __future__ import annotations

from proxy.core.words import parts_of, readable
from proxy.frames.launch import describe_exit


def test_an_end_by_a_signal_is_said_in_another_language() -> None:
    catalogue = {"it was ended by %(name)s": "被 %(name)s 结束", " (a library gave up)": "（某个库放弃了）"}
    words = describe_exit(-6)
    assert str(words) == "it was ended by SIGABRT (a library gave up)"
    assert readable(parts_of(words), lambda text: catalogue.get(text, text), "") == "被 SIGABRT 结束（某个库放弃了）"
