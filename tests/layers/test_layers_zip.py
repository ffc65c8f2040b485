"""Evil and odd archives, most of them made by changing bytes of a sound one."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.errors import IntegrityError
from lading.layers import zip as archive_of


def built(tmp_path: Path, write, name="one.zip") -> Path:
    path = tmp_path / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write(archive)
    return path


def members(path: Path):
    with path.open("rb") as file:
        return archive_of.members(file, path.name)


def contents(path: Path):
    with path.open("rb") as file:
        found = archive_of.members(file, path.name)
        return {name: archive_of.read(file.fileno(), member) for name, member in found.items()}


def entry(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@given(
    st.dictionaries(
        st.from_regex(r"[a-zé]{1,8}(/[a-z]{1,8})?", fullmatch=True), st.binary(max_size=2000), max_size=6
    )
)
def test_what_zipfile_writes_is_read_back(tmp_path_factory, files):
    tmp_path = tmp_path_factory.mktemp("zip")

    def write(archive):
        for index, (name, data) in enumerate(files.items()):
            archive.writestr(name, data, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[index % 2])

    assert contents(built(tmp_path, write)) == files


def test_an_empty_archive_has_no_members(tmp_path):
    assert members(built(tmp_path, lambda _: None)) == {}


def test_directories_are_no_members(tmp_path):
    assert list(members(built(tmp_path, lambda a: (a.mkdir("a"), a.writestr("a/b", b""))))) == ["a/b"]


def test_zip64_members_are_read(tmp_path):
    def write(archive):
        with archive.open(entry("a"), "w", force_zip64=True) as stream:
            stream.write(b"abc" * 1000)

    assert contents(built(tmp_path, write)) == {"a": b"abc" * 1000}


def test_members_with_data_descriptors_are_read(tmp_path):
    class Unseekable(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    path = tmp_path / "one.zip"
    with path.open("wb") as file, zipfile.ZipFile(Unseekable(file), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"abc" * 1000)
        archive.writestr("b", b"")
    assert path.read_bytes().count(b"PK\x07\x08") == 2
    assert contents(path) == {"a": b"abc" * 1000, "b": b""}


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../b", "a\\b", "a//b", "./a", "a/.wh.b"])
def test_a_name_that_escapes_is_refused(tmp_path, name):
    with pytest.raises(IntegrityError):
        members(built(tmp_path, lambda archive: archive.writestr(name, b"")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_are_refused(tmp_path, kind):
    with pytest.raises(IntegrityError, match="neither a file nor a directory"):
        members(built(tmp_path, lambda archive: archive.writestr(entry("a", kind | 0o777), b"/etc/passwd")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(IntegrityError, match="twice"):
        members(built(tmp_path, lambda archive: (archive.writestr("a", b"1"), archive.writestr("a", b"2"))))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_another_compression_is_refused(tmp_path, method):
    with pytest.raises(IntegrityError, match="expected stored or deflate"):
        members(built(tmp_path, lambda archive: archive.writestr("a", b"abc", method)))


def test_every_issue_of_a_directory_is_told_at_once(tmp_path):
    with pytest.raises(IntegrityError) as caught:
        members(built(tmp_path, lambda archive: (archive.writestr("/a", b""), archive.writestr("../b", b""))))
    assert [issue.where for issue in caught.value.issues] == ["one.zip: /a", "one.zip: ../b"]


def sound(tmp_path) -> tuple[Path, bytearray, int, int]:
    """Return an archive of two members, its bytes, and where the second header and the directory begin."""
    path = built(
        tmp_path, lambda archive: (archive.writestr("a", b"abc" * 99), archive.writestr("b", b"x" * 99))
    )
    data = bytearray(path.read_bytes())
    return path, data, data.find(b"PK\x03\x04", 4), data.find(b"PK\x01\x02")


def refused(path: Path, data: bytes, match: str) -> None:
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=match):
        contents(path)


def test_an_encrypted_member_is_refused(tmp_path):
    path, data, _, directory = sound(tmp_path)
    data[directory + 8] |= 1
    data[6] |= 1
    refused(path, data, "encrypted")


@pytest.mark.parametrize(
    "offset",
    [pytest.param(at, id=what) for what, at in [("method", 8), ("crc", 14), ("size", 22), ("name", 30)]],
)
def test_a_local_header_that_disagrees_is_refused(tmp_path, offset):
    path, data, _, _ = sound(tmp_path)
    data[offset] ^= 1
    refused(path, data, "disagrees")


def test_members_that_overlap_are_refused(tmp_path):
    path, data, second, directory = sound(tmp_path)
    offset_at = directory + 46 + 1 + 42
    assert struct.unpack_from("<I", data, offset_at) == (second,)
    struct.pack_into("<I", data, offset_at, 0)
    refused(path, data, "overlaps")


def test_a_member_that_reaches_into_the_next_is_refused(tmp_path):
    path, data, _, directory = sound(tmp_path)
    for at in (18, directory + 20):  # both headers agree on a stored length that is too long
        struct.pack_into("<I", data, at, struct.unpack_from("<I", data, at)[0] + 20)
    refused(path, data, "overlaps")


@pytest.mark.parametrize("length", [0, 50_000, 0xFFFF_0000])
def test_a_length_that_is_not_the_contents_is_refused(tmp_path, length):
    path, data, _, directory = sound(tmp_path)
    for at in (22, directory + 24):
        struct.pack_into("<I", data, at, length)
    refused(path, data, "claims|inflates to more|does not inflate")


def test_a_bomb_is_refused_by_its_directory(tmp_path):
    path = built(tmp_path, lambda archive: archive.writestr("zeros", bytes(150_000_000)))
    with pytest.raises(IntegrityError, match="expected at most"):
        members(path)


def test_a_checksum_that_is_wrong_is_refused(tmp_path):
    path, data, _, directory = sound(tmp_path)
    for at in (14, directory + 16):
        data[at] ^= 1
    refused(path, data, "CRC-32")


@pytest.mark.parametrize("noise", [b"", b"PK", b"no archive", b"PK\x05\x06" + bytes(18), bytes(1000)])
def test_what_is_no_archive_is_refused_or_empty(tmp_path, noise):
    path = tmp_path / "noise.zip"
    path.write_bytes(noise)
    if noise.startswith(b"PK\x05\x06"):
        assert members(path) == {}
    else:
        with pytest.raises(IntegrityError):
            members(path)


def test_any_flipped_byte_is_caught_or_harmless(tmp_path):
    path, data, _, _ = sound(tmp_path)
    expected = {"a": b"abc" * 99, "b": b"x" * 99}
    caught = 0
    for at in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            data[at] ^= mask
            path.write_bytes(data)
            data[at] ^= mask
            try:
                found = contents(path)
            except IntegrityError:
                caught += 1
            else:
                assert found.items() <= expected.items()
    assert caught > len(data)
