"""What is shown of an instance's output: the last lines, nothing that paints, nothing that looks like a secret."""

from __future__ import annotations

import pytest

from proxy.instances.log import HIDDEN, LIMIT_BYTES, LogTail, in_words, newest, without_secrets


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("key dlp_" + "a" * 43 + " used", f"key {HIDDEN} used"),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {HIDDEN}"),
        ("postgres://ann:s3cret@host:5432/db", f"postgres://{HIDDEN}@host:5432/db"),
        ("password=hunter2 next", f"password={HIDDEN} next"),
        ('{"api_key": "abc def", "x": 1}', f'{{"api_key": {HIDDEN}, "x": 1}}'),
        ("AWS_SECRET_ACCESS_KEY=wJalr/XUtn", f"AWS_SECRET_ACCESS_KEY={HIDDEN}"),
        ("HF_TOKEN: hf_abc", f"HF_TOKEN: {HIDDEN}"),
        ("Authorization: Basic YW5uOnMzY3JldA==", f"Authorization: Basic {HIDDEN}"),
        ("a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nzz\n-----END RSA PRIVATE KEY-----\nb", f"a\n{HIDDEN}\nb"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\nzz", HIDDEN),
        ("'client_secret': 'x y z'", f"'client_secret': {HIDDEN}"),
    ],
)
def test_what_looks_like_a_secret_is_blacked_out(printed: str, shown: str) -> None:
    assert without_secrets(printed) == shown


@pytest.mark.parametrize(
    "printed", ["loaded 12 tensors in 3.4 s", "tokens per second 120", "https://host/path", "keyboard interrupt: none"]
)
def test_other_words_stay(printed: str) -> None:
    assert without_secrets(printed) == printed


def test_only_the_last_lines_and_no_control_characters() -> None:
    tail = LogTail()
    tail.append(b"one\ntwo\n\x1b[31mthree\x07\n")
    assert tail.tail(2) == "two\n\ufffd[31mthree\ufffd"


def test_memory_is_bounded_and_a_line_that_never_ends_is_no_exception() -> None:
    tail = LogTail()
    for _ in range(100):
        tail.append(b"x" * 10_000)
    assert len(tail.copy()) == LIMIT_BYTES
    assert len(in_words(tail.copy(), 1)) == LIMIT_BYTES


def test_a_log_is_cut_where_a_line_begins_and_a_key_of_many_lines_is_hidden_though_few_are_shown() -> None:
    tail = LogTail()
    tail.append(b"password=" + b"hunter2" * 20_000 + b"\nready\n")
    assert tail.copy() == b"ready\n"
    assert newest(b"token=abcdef\nnext", 9) == b"next"
    assert newest(b"whole", 5) == b"whole"
    key = b"-----BEGIN PRIVATE KEY-----\nMIIE\nsecret\n-----END PRIVATE KEY-----\nready"
    assert "secret" not in in_words(key, 3)


def test_a_huge_log_of_near_secrets_takes_no_quadratic_time() -> None:
    """A model may print what makes patterns backtrack; 64 KiB of it are read in a moment, not in minutes."""
    for text in (
        "password" * 8_000,
        "a-" * 32_000,
        "://" + "a" * 60_000,
        "secret=" * 9_000,
        "dlp_" * 16_000,
        "._" * 30_000,
        "-----BEGIN PRIVATE KEY-----" * 2_000,
        "authorization: basic " * 3_000,
    ):
        without_secrets(text)
