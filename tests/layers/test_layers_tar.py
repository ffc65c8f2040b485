from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, SpecError
from lading.layers import compress
from lading.layers.tar import LayerWriter, _header, check_path
from lading.store import MemoryStore

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
PATHS = st.lists(
    NAMES.filter(lambda name: name not in {".", ".."} and not name.startswith(".wh.")), min_size=1, max_size=6
).map("/".join)


def deflate(data: bytes) -> bytes:
    state = zlib.compressobj(wbits=-15)
    return state.compress(data) + state.flush()


def written(write, compression="gzip"):
    store = MemoryStore()
    with store.create() as blob:
        writer = LayerWriter(blob, compression=compression)
        write(writer)
        tar = writer.finish()
    with store.open(tar.digest) as stream:
        return tar, stream.read()


@given(PATHS, st.binary(max_size=3000), st.booleans())
def test_any_file_is_read_back_by_pythons_tarfile(path, data, executable):
    tar, blob = written(lambda writer: writer.file(path, data, 0o755 if executable else 0o644))
    plain = gzip.decompress(blob)
    assert tar.diff_id == Digest.of(plain)
    assert tar.tar_bytes == len(plain)
    assert (tar.digest, tar.size_bytes) == (Digest.of(blob), len(blob))
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        member = archive.getmembers()[-1]
        assert (member.name, member.mode & 0o111 != 0) == (path, executable)
        assert (member.uid, member.gid, member.mtime, member.uname) == (0, 0, 0, "")
        assert archive.extractfile(member).read() == data


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_splicing_gives_the_same_tar_as_compressing(data, step):
    stream = deflate(data * 3)
    chunks = [stream[i : i + step] for i in range(0, len(stream), step)]
    crc32 = zlib.crc32(data * 3)
    spliced, blob = written(
        lambda writer: writer.deflated("a", chunks, size_bytes=3 * len(data), crc32=crc32)
    )
    plain, _ = written(lambda writer: writer.file("a", data * 3))
    assert spliced.diff_id == plain.diff_id == Digest.of(gzip.decompress(blob))


def test_a_deflate_stream_appears_verbatim_in_the_layer():
    data = random.Random(0).randbytes(5000) + bytes(3_000_000)
    stream = deflate(data)
    _, blob = written(
        lambda writer: writer.deflated("a", [stream], size_bytes=len(data), crc32=zlib.crc32(data))
    )
    assert stream in blob


@pytest.mark.parametrize("wrong", ["length", "crc32", "digest", "truncated", "trailing", "noise"])
def test_a_deflate_stream_that_is_not_what_was_said_is_refused(wrong):
    data = b"abc" * 5000
    stream, size_bytes, crc32, digest = deflate(data), len(data), zlib.crc32(data), Digest.of(data)
    match wrong:
        case "length":
            size_bytes -= 1
        case "crc32":
            crc32 ^= 1
        case "digest":
            digest = Digest.of(b"")
        case "truncated":
            stream = stream[:-1]
        case "trailing":
            stream += b"\0"
        case "noise":
            stream = b"\xff" + stream[1:]
    with pytest.raises(IntegrityError):
        written(
            lambda writer: writer.deflated("a", [stream], size_bytes=size_bytes, crc32=crc32, digest=digest)
        )


def test_a_bomb_is_inflated_no_further_than_was_said():
    stream = deflate(bytes(50_000_000))
    inflated = []
    with pytest.raises(ValueError, match="more than 10 bytes"):
        inflated.extend(len(plain) for _, plain in compress.inflate([stream], 10, 0))
    assert sum(inflated) <= 11


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "..", "a/../b", "../a", "a//b", "a/", ".", "./a", "a/.", "a\0b"),
        *("a/.wh.b", ".wh.x/a", "x" * 256, "/".join(["x" * 200] * 30), "a/\udcff", "a/" * 5000 + "a"),
    ],
)
def test_a_path_that_escapes_or_deletes_is_refused(path):
    with pytest.raises(IntegrityError):
        written(lambda writer: writer.file(path, b""))


@given(PATHS)
def test_a_plain_path_is_accepted(path):
    if all(len(part.encode()) <= 255 for part in path.split("/")):
        check_path(path)


def test_nothing_is_written_below_a_link_or_file():
    def below_link(writer):
        writer.symlink("a", "/etc")
        writer.file("a/passwd", b"")

    def below_file(writer):
        writer.file("a", b"")
        writer.file("a/b/c", b"")

    for write in (below_link, below_file):
        with pytest.raises(IntegrityError, match="is not a directory"):
            written(write)


def test_a_path_comes_once():
    def write(writer):
        writer.directory("a/b")
        writer.directory("a/b")
        writer.file("a/b/c", b"")
        with pytest.raises(IntegrityError, match="twice"):
            writer.symlink("a/b/c", "x")
        with pytest.raises(IntegrityError, match="twice"):
            writer.directory("a/b", 0o1777)

    _, blob = written(write)
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        assert archive.getnames() == ["a", "a/b", "a/b/c"]


def test_noise_is_stored_and_text_is_compressed():
    noise, text = random.Random(1).randbytes(5_000_000), b"text " * 1_000_000
    stored, _ = written(lambda writer: writer.stream("a", io.BytesIO(noise), len(noise)))
    shrunk, _ = written(lambda writer: writer.stream("a", io.BytesIO(text), len(text)))
    assert len(noise) < stored.size_bytes < 1.001 * len(noise)
    assert shrunk.size_bytes < 0.05 * len(text)


@pytest.mark.parametrize("size_bytes", [0, 4, 6, 2_000_000])
def test_a_stream_of_another_length_is_refused(size_bytes):
    with pytest.raises(IntegrityError, match="length"):
        written(lambda writer: writer.stream("a", io.BytesIO(b"12345"), size_bytes))


def test_how_a_stream_is_read_does_not_matter():
    class Dripping(io.BytesIO):
        def read(self, size=-1):
            return super().read(min(size, 100_001))

    data = random.Random(2).randbytes(700_000) * 4
    at_once, _ = written(lambda writer: writer.stream("a", io.BytesIO(data), len(data)))
    dripping, _ = written(lambda writer: writer.stream("a", Dripping(data), len(data)))
    assert at_once == dripping


def test_long_and_foreign_names_and_links_survive():
    names = [
        "d" * 90 + "/" + "e" * 99,
        "f" * 200,
        "é/ü",
        "g" * 150 + "/" + "h" * 120,
        "i" * 100,
        "j/" * 60 + "k",
    ]

    def write(writer):
        for name in names:
            writer.file(name, b"x")
        writer.symlink("link", "l" * 300)
        writer.symlink("lien", "cible/é")

    _, blob = written(write)
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        found = {member.name: member.linkname for member in archive if not member.isdir()}
    assert found == {**dict.fromkeys(names, ""), "link": "l" * 300, "lien": "cible/é"}


def test_a_length_that_ustar_cannot_hold_goes_into_a_pax_header():
    for size_bytes in (8**11 - 1, 8**11, 20 << 30):
        header = _header("model.bin", 0o644, b"0", size_bytes=size_bytes)
        with tarfile.open(fileobj=io.BytesIO(header + bytes(1024))) as archive:
            assert archive.next().size == size_bytes


def test_gnu_tar_lists_and_extracts_a_layer(tmp_path: Path):
    if not shutil.which("tar"):
        pytest.skip("needs GNU tar: apt-get install tar")
    data = random.Random(3).randbytes(100_000)

    def write(writer):
        writer.deflated("b/spliced", [deflate(data)], size_bytes=len(data), crc32=zlib.crc32(data))
        writer.file("b/" + "ü" * 80, b"x", 0o755)
        writer.symlink("b/link", "spliced")

    _, blob = written(write)
    (tmp_path / "layer.tar.gz").write_bytes(blob)
    subprocess.run(["tar", "xzf", "layer.tar.gz"], cwd=tmp_path, check=True)
    assert (tmp_path / "b/link").read_bytes() == data
    assert os.access(tmp_path / "b" / ("ü" * 80), os.X_OK)


def test_zstd_holds_the_same_tar():
    zstd = pytest.importorskip("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    data = b"abc" * 400_000

    def write(writer):
        writer.deflated("a", [deflate(data)], size_bytes=len(data), crc32=zlib.crc32(data))
        writer.file("b", data)

    one, _ = written(write)
    other, blob = written(write, "zstd")
    assert one.diff_id == other.diff_id == Digest.of(zstd.decompress(blob))


def test_zstd_that_is_not_installed_is_named(monkeypatch):
    for name in ("compression", "compression.zstd", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SpecError, match=r"lading\[zstd\]"):
        written(lambda _: None, "zstd")


@pytest.mark.slow
def test_a_spliced_file_may_be_longer_than_4_gib(tmp_path: Path):
    size_bytes, block = (4 << 30) + 12345, bytes(1 << 20)
    state, crc32, chunks = zlib.compressobj(wbits=-15), 0, []
    for start in range(0, size_bytes, len(block)):
        part = block[: size_bytes - start]
        crc32 = zlib.crc32(part, crc32)
        chunks.append(state.compress(part))
    chunks.append(state.flush())
    tar, blob = written(lambda writer: writer.deflated("a", chunks, size_bytes=size_bytes, crc32=crc32))
    (tmp_path / "layer.tar.gz").write_bytes(blob)
    subprocess.run(["gzip", "-t", "layer.tar.gz"], cwd=tmp_path, check=True)
    listed = subprocess.run(["tar", "tvzf", "layer.tar.gz"], cwd=tmp_path, check=True, capture_output=True)
    assert str(size_bytes).encode() in listed.stdout
    assert tar.tar_bytes == 512 + size_bytes + -size_bytes % 512 + 1024
