"""Hostile zip archives (ATTACKS.md U2, U6 to U11, U31), and the two good layouts."""

from __future__ import annotations

import struct

import pytest

from models_admin.inspection import zip_directory
from tests.unit.inspection.archives import Archive, Entry, deflate, exported, torchscript
from tests.unit.inspection.conftest import Look, Refuse


def test_torchscript_is_recognised_by_its_content(look: Look) -> None:
    assert look(torchscript().build()).format == "torchscript"


def test_a_signature_inside_the_archive_is_noticed(look: Look) -> None:
    assert not look(torchscript().build()).has_signature
    assert look(torchscript(Entry("net/extra/dlproxy.json", b"{}")).build()).has_signature


def test_an_exported_program_is_recognised_by_its_content(look: Look) -> None:
    inspection = look(exported().build())
    assert inspection.format == "exported"
    assert inspection.carries_code


def test_u02_a_pickled_checkpoint_is_refused_with_words_on_how_to_export(refuse: Refuse) -> None:
    refusal = refuse(Archive([Entry("net/data.pkl", b"cos\nsystem\n"), Entry("net/data/0")]).build())
    assert refusal.code == "pickle"
    assert "torch.export.save" in str(refusal)


def test_u31_compiled_libraries_in_an_exported_program_are_refused(refuse: Refuse) -> None:
    for name in ("net/data/aotinductor/model/model.so", "net/data/x.CUBIN", "net/data/aotinductor/m/a.json"):
        assert refuse(exported(Entry(name)).build()).code == "compiled_code"


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/x", "C:\\x", "net/../../x", "net//x", "net/./x", "net\\x", "c:x", "net/a\nb", "net/\x00"]
)
def test_u06_names_that_point_outside_are_refused(refuse: Refuse, name: str) -> None:
    assert refuse(torchscript(Entry(name)).build()).code in {"zip_path", "zip_damaged"}


@pytest.mark.parametrize("kind", [0o120000, 0o010000, 0o020000, 0o060000, 0o140000])
def test_u07_links_and_devices_are_refused(refuse: Refuse, kind: int) -> None:
    for made_by in (3 << 8, 0):
        entry = Entry("net/link", b"/etc/passwd", external=(kind | 0o777) << 16, made_by=made_by)
        assert refuse(torchscript(entry).build()).code == "zip_link"


def test_u08_duplicate_names_are_refused(refuse: Refuse) -> None:
    assert refuse(torchscript(Entry("net/data.pkl", b"other")).build()).code == "zip_duplicate"
    assert refuse(torchscript(Entry("net/version/", b"")).build()).code == "zip_duplicate"


def test_u08_a_local_name_other_than_the_directory_s_is_refused(refuse: Refuse) -> None:
    assert refuse(torchscript(Entry("net/a", local_name=b"net/b")).build()).code == "zip_damaged"


def test_u09_a_deflate_bomb_is_refused_before_it_is_inflated(refuse: Refuse) -> None:
    packed = deflate(b"\0" * 2**20)
    bomb = Entry("net/code/x.py", raw=packed, method=8, size=10 * 2**30 % 2**32, crc32=0)
    assert refuse(torchscript(bomb).build()).code == "zip_bomb"
    many = [Entry(f"net/code/{i}.py", raw=packed, method=8, size=60 * 2**20, crc32=0) for i in range(5)]
    assert refuse(torchscript(*many).build()).code == "zip_bomb"


def test_u09_a_member_that_inflates_to_more_than_it_says_is_refused(refuse: Refuse) -> None:
    entry = Entry("net/code/x.py", raw=deflate(b"\0" * 10**7), method=8, size=1_000, crc32=0)
    assert refuse(torchscript(entry).build()).code == "zip_crc"


def test_u09_overlapping_members_are_refused(refuse: Refuse) -> None:
    archive = torchscript()
    first = archive.entries[0]
    archive.entries.append(Entry(first.name, first.data, offset=0))
    archive.entries[-1].name = "net/data.pkl"
    assert refuse(archive.build()).code in {"zip_duplicate", "zip_overlap"}
    inner = Archive([Entry("net/b", b"y" * 10)]).build()
    quine = Archive([Entry("net/a", inner), Entry("net/b", b"y" * 10, offset=30 + len("net/a"))])
    assert refuse(quine.build()).code in {"zip_overlap", "zip_damaged"}


def test_u10_more_members_than_the_cap_are_refused(refuse: Refuse, look: Look) -> None:
    cap = zip_directory.MAX_MEMBERS

    def archive(count: int) -> bytes:
        entries = torchscript(*(Entry(f"net/data/{i}", b"") for i in range(count - 4)))
        return entries.build()

    assert look(archive(cap)).format == "torchscript"
    assert refuse(archive(cap + 1)).code == "zip_members"


def test_u11_false_sizes_are_refused(refuse: Refuse) -> None:
    assert refuse(torchscript(Entry("net/a", b"abc", size=4)).build()).code == "zip_damaged"
    assert refuse(torchscript(Entry("net/a", b"abc", local_size=9)).build()).code == "zip_damaged"
    assert refuse(torchscript(Entry("net/a", b"abc", size=2**31, compressed_size=2**31)).build()).code == "zip_damaged"


def test_u11_false_64_bit_sizes_are_refused(refuse: Refuse) -> None:
    huge = 2**32 - 1
    missing = Entry("net/a", b"abc", size=huge, compressed_size=huge)
    assert refuse(torchscript(missing).build()).code == "zip_damaged"
    wide = struct.pack("<HHQQ", 1, 16, 2**60, 2**60)
    lying = Entry("net/a", b"abc", size=huge, compressed_size=huge, extra=wide)
    assert refuse(torchscript(lying).build()).code == "zip_damaged"
    twice = Entry("net/a", b"abc", size=huge, compressed_size=huge, extra=wide * 2)
    assert refuse(torchscript(twice).build()).code == "zip_damaged"


def test_u11_a_false_64_bit_end_record_is_refused(refuse: Refuse) -> None:
    plain = torchscript().build()
    offset = plain.rindex(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, offset, 1)
    archive = torchscript()
    archive.zip64 = record + locator
    assert refuse(archive.build()).code == "zip_damaged"


def test_u11_a_bad_checksum_is_refused(refuse: Refuse) -> None:
    assert refuse(torchscript(Entry("net/a", b"abc", crc32=1)).build()).code == "zip_crc"


def test_u11_encrypted_members_are_refused(refuse: Refuse) -> None:
    for flag in (0x1, 0x40, 0x2000):
        assert refuse(torchscript(Entry("net/a", flags=flag)).build()).code == "zip_encrypted"


def test_u11_anything_after_the_end_is_refused(refuse: Refuse) -> None:
    archive = torchscript()
    archive.tail = b"\0"
    assert refuse(archive.build()).code == "zip_trailing"


def test_u11_a_directory_elsewhere_or_with_another_count_is_refused(refuse: Refuse) -> None:
    for changes in ({"directory_offset": 0}, {"directory_offset": 2**31}, {"count": 3}, {"count": 9}):
        archive = torchscript()
        for name, value in changes.items():
            setattr(archive, name, value)
        assert refuse(archive.build()).code == "zip_damaged"


def test_exotic_compression_is_refused(refuse: Refuse) -> None:
    assert refuse(torchscript(Entry("net/a", method=14)).build()).code == "zip_method"


def test_an_archive_cut_off_anywhere_is_refused(refuse: Refuse) -> None:
    whole = torchscript().build()
    for length in range(4, len(whole), 7):
        refuse(whole[:length])


def test_any_flipped_byte_of_the_directory_is_refused_or_harmless(look: Look) -> None:
    """Times, version numbers and comments may differ; nothing may raise anything but Refused."""
    from models_admin.inspection import Refused

    whole = torchscript().build()
    for position in range(whole.index(b"PK\x01\x02"), len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        try:
            look(bytes(changed))
        except Refused:
            continue


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("a.npy", "NumPy"),
        ("config.json", "Keras"),
        ("x/serialized_exported_program.json", "again"),
        ("word/a.xml", "zip"),
    ],
)
def test_other_archives_are_named(refuse: Refuse, name: str, word: str) -> None:
    assert word in str(refuse(Archive([Entry(name), Entry("b/c")]).build()))
