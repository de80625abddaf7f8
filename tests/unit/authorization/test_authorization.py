"""Credentials and rights."""

from __future__ import annotations

import pytest

from proxy.authorization.authorization import Recognised, authenticate, authorise, unknown_model
from proxy.authorization.keys import digest_hex
from proxy.core.errors import NotFound, Unauthenticated
from proxy.core.principals import Principal
from proxy.core.snapshot import KeySnapshot, Snapshot

KEY = "dlp_" + "k" * 43
OTHER = "dlp_" + "o" * 43
BEARER = f"Bearer {KEY}".encode()
NOW_UNIX_S = 1_000.0


def snapshot(**more: object) -> Snapshot:
    key = KeySnapshot("7", "ci", digest_hex(KEY), **more)  # type: ignore[arg-type]
    return Snapshot(1, {}, {key.digest_hex: key})


def test_a_known_key_becomes_its_principal() -> None:
    principal = authenticate(BEARER, None, snapshot(models=frozenset({"digits"}), is_admin=True), NOW_UNIX_S)
    assert principal == Principal("key:7", "ci", frozenset({"digits"}), is_admin=True, tenant="key:7")


@pytest.mark.parametrize("header", [b"bearer %b", b"BEARER %b", b"Bearer   %b"])
def test_the_scheme_is_case_insensitive(header: bytes) -> None:
    assert authenticate(header % KEY.encode(), None, snapshot(), NOW_UNIX_S).label == "ci"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic " + KEY.encode(),
        KEY.encode(),
        BEARER + b"x",
        BEARER[:-1],
        BEARER + b" ",
        b" " + BEARER,
        BEARER + b", " + BEARER,
        b"Bearer " + KEY.upper().encode(),
        b"Bearer " + OTHER.encode(),
        b"Bearer \xff\xfe",
        b"Bearer " + b"a" * 100_000,
        b"Bearer " + digest_hex(KEY).encode(),
    ],
)
def test_anything_else_is_not_a_credential(header: bytes) -> None:
    with pytest.raises(Unauthenticated):
        authenticate(header, None, snapshot(), NOW_UNIX_S)


def test_no_credential_says_how_to_send_one() -> None:
    with pytest.raises(Unauthenticated, match="Authorization: Bearer dlp_"):
        authenticate(None, None, snapshot(), NOW_UNIX_S)


def test_a_key_dies_at_its_expiry() -> None:
    of = snapshot(expires_at_unix_s=NOW_UNIX_S)
    assert authenticate(BEARER, None, of, NOW_UNIX_S - 0.001).label == "ci"
    with pytest.raises(Unauthenticated, match="unknown, expired or revoked"):
        authenticate(BEARER, None, of, NOW_UNIX_S)


def test_an_unknown_key_and_an_expired_one_get_the_same_words() -> None:
    words = set()
    for header, of in ((b"Bearer " + OTHER.encode(), snapshot()), (BEARER, snapshot(expires_at_unix_s=1.0))):
        with pytest.raises(Unauthenticated) as caught:
            authenticate(header, None, of, NOW_UNIX_S)
        words.add(caught.value.message)
    assert len(words) == 1


def test_a_bare_key_works_alone_and_must_agree_with_the_header() -> None:
    assert authenticate(None, KEY.encode(), snapshot(), NOW_UNIX_S).label == "ci"
    assert authenticate(BEARER, KEY.encode(), snapshot(), NOW_UNIX_S).label == "ci"
    with pytest.raises(Unauthenticated, match="Two different"):
        authenticate(BEARER, OTHER.encode(), snapshot(), NOW_UNIX_S)
    with pytest.raises(Unauthenticated):
        authenticate(None, b"x", snapshot(), NOW_UNIX_S)


def test_a_model_outside_the_keys_list_looks_as_if_it_did_not_exist() -> None:
    restricted = Principal("key:7", "ci", frozenset({"digits"}))
    authorise(restricted, "digits")
    with pytest.raises(NotFound) as caught:
        authorise(restricted, "secret")
    assert caught.value.message == unknown_model("secret").message
    assert caught.value.status == 404
    authorise(Principal("key:8", "all"), "secret")


def test_the_words_repeat_a_long_name_shortened() -> None:
    assert len(unknown_model("n" * 100_000).message) < 200


def test_a_recognised_key_is_its_caller_until_it_expires_or_the_keys_change() -> None:
    expiring = snapshot(expires_at_unix_s=100.0)
    recognised = Recognised()
    first = recognised.authenticate(BEARER, expiring, 50.0)
    assert recognised.authenticate(BEARER, expiring, 99.0) is first
    with pytest.raises(Unauthenticated):
        recognised.authenticate(BEARER, expiring, 100.0)
    with pytest.raises(Unauthenticated):
        recognised.authenticate(BEARER, Snapshot(2, {}, {}), 50.0)
    assert recognised.authenticate(BEARER, snapshot(), 50.0) == first
    with pytest.raises(Unauthenticated):
        recognised.authenticate(None, expiring, 50.0)


def test_a_key_in_an_endless_header_is_good_but_not_kept() -> None:
    keys = snapshot()
    recognised = Recognised()
    for length in range(1_000, 1_010):
        spelt = BEARER.replace(b" ", b" " * length)
        assert recognised.authenticate(spelt, keys, 0.0) == recognised.authenticate(BEARER, keys, 0.0)
        assert not recognised.is_lasting(spelt)
    assert recognised.is_lasting(BEARER)
