"""A sealed layer becomes a folder once, and nothing in it leads out."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.core.descriptor import LAYER_ZSTD, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, VerifyError
from lading.core.image import Layer
from lading.core.ports import ignore
from lading.sandbox.unpack import extract, unpack
from sealing import Blobs

try:
    from compression import zstd
except ImportError:
    zstd = find_spec("backports") and find_spec("backports.zstd")


def entry(name, data=b"", **facts):
    """Return a member and its contents."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in facts.items():
        setattr(member, key, value)
    return member, data


def tar(*entries, form=tarfile.PAX_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for member, data in entries:
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def extracted(data, root):
    root.mkdir(exist_ok=True)
    return extract(io.BytesIO(data), root, "layer")


def test_files_folders_and_links_are_as_the_tar_has_them(tmp_path):
    data = tar(
        entry("d/", type=tarfile.DIRTYPE, mode=0o555, mtime=11),
        entry("d/file", b"contents", mode=0o640, mtime=22),
        entry("d/same", type=tarfile.LNKTYPE, linkname="./d/file"),
        entry("d/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("./deep/er/empty", mode=0o4755),
    )
    digest = extracted(data, tmp_path / "root")
    assert digest == Digest.of(data)
    folder = tmp_path / "root/d"
    assert (folder / "file").read_bytes() == b"contents"
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o640
    assert (folder / "file").stat().st_mtime == 22
    assert (folder / "same").stat().st_ino == (folder / "file").stat().st_ino
    assert str((folder / "link").readlink()) == "/etc/passwd"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o555
    assert folder.stat().st_mtime == 11
    assert stat.S_IMODE((tmp_path / "root/deep/er/empty").stat().st_mode) == 0o755
    folder.chmod(0o755)


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
PATHS = st.lists(
    NAMES.filter(lambda n: n not in {".", ".."} and not n.startswith(".wh.")), min_size=1, max_size=5
)


@given(
    st.dictionaries(
        PATHS.map("/".join).filter(lambda p: len(p.encode()) < 800), st.binary(max_size=2000), max_size=6
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_every_name_and_contents_come_back(files, form):
    folders = {p.rpartition("/")[0] for p in files} | {
        p[:i] for p in files for i, c in enumerate(p) if c == "/"
    }
    files = {path: data for path, data in files.items() if path not in folders}
    files = {
        path: data for path, data in files.items() if max(len(x.encode()) for x in path.split("/")) < 255
    }
    with tempfile.TemporaryDirectory() as folder:
        extracted(tar(*(entry(path, data) for path, data in files.items()), form=form), Path(folder))
        found = {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    assert found == files


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([entry("../x")], "below the root"),
        ([entry("a/../../x")], "below the root"),
        ([entry("/x")], "below the root"),
        ([entry("a", type=tarfile.SYMTYPE, linkname="/tmp"), entry("a/x", b"out")], "'a' is a symlink"),
        ([entry("a", type=tarfile.SYMTYPE, linkname="."), entry("a/b/x", b"out")], "'a' is a symlink"),
        ([entry("f"), entry("f/x")], "'f' is a file"),
        ([entry("x", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "below the root"),
        ([entry("x", type=tarfile.LNKTYPE, linkname="../x")], "below the root"),
        ([entry("x", type=tarfile.LNKTYPE, linkname="y")], "no file before it"),
        (
            [
                entry("l", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
                entry("x", type=tarfile.LNKTYPE, linkname="l"),
            ],
            "no file before it",
        ),
        ([entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)], "expected a file, folder or link"),
        ([entry("disk", type=tarfile.BLKTYPE, devmajor=8)], "expected a file, folder or link"),
        ([entry("pipe", type=tarfile.FIFOTYPE)], "expected a file, folder or link"),
        ([entry("x"), entry("x")], "twice"),
        ([entry("l", type=tarfile.SYMTYPE, linkname="/tmp"), entry("l", b"x")], "twice"),
        ([entry("d/.wh.x")], "deletes"),
        ([entry(".wh..wh..opq")], "deletes"),
        ([entry("x", pax_headers={"GNU.sparse.major": "1"})], "sparse"),
        ([entry("x", pax_headers={"comment": "x" * (2 << 20)})], "metadata"),
    ],
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path, entries, why):
    outside = set(tmp_path.parent.iterdir())
    with pytest.raises(IntegrityError, match=why):
        extracted(tar(*entries), tmp_path / "root")
    assert set(tmp_path.parent.iterdir()) == outside


def test_a_tar_that_ends_early_is_refused_wherever_it_ends(tmp_path):
    data = tar(entry("a" * 120, b"x" * 700), entry("b", b"y"))
    for length in range(0, len(data) - 9000, 100):
        with pytest.raises(IntegrityError):
            extracted(data[:length], tmp_path / str(length))


@given(st.integers(0, 511), st.integers(1, 255))
def test_any_flipped_bit_of_a_header_is_caught(position, change):
    data = bytearray(tar(entry("name", b"contents"), form=tarfile.USTAR_FORMAT))
    data[position] ^= change
    with tempfile.TemporaryDirectory() as folder:
        try:
            digest = extracted(bytes(data), Path(folder))
        except IntegrityError:
            return
    # a checksum of blanks and NULs has several spellings: the digest tells them apart
    assert 148 <= position < 156
    assert digest != Digest.of(tar(entry("name", b"contents"), form=tarfile.USTAR_FORMAT))


def test_bytes_behind_the_end_are_refused(tmp_path):
    with pytest.raises(IntegrityError, match="follow the end"):
        extracted(tar(entry("x")) + b"more", tmp_path / "root")


def test_zeros_of_a_large_file_take_no_room(tmp_path):
    data = b"head" + bytes(32 << 20) + b"tail"
    extracted(tar(entry("model", data)), tmp_path / "root")
    model = tmp_path / "root/model"
    assert hashlib.sha256(model.read_bytes()).digest() == hashlib.sha256(data).digest()
    assert model.stat().st_blocks * 512 < 4 << 20


def test_a_layer_is_unpacked_once(tmp_path):
    blobs = Blobs()
    layers = [blobs.seal_files({f"{n}/x": b"%d" % n}) for n in range(5)]
    events = []
    first = unpack(layers, blobs, tmp_path / "unpacked", events.append)
    assert blobs.opened == 5
    assert (events[-1].done, events[-1].total, events[-1].unit) == (5, 5, "layers")
    assert unpack(layers, blobs, tmp_path / "unpacked", ignore) == first
    assert blobs.opened == 5
    assert [path.name for path in first] == [layer.diff_id.hex for layer in layers]
    assert [(path / f"{n}/x").read_bytes() for n, path in enumerate(first)] == [b"%d" % n for n in range(5)]


def test_several_at_once_get_the_same(tmp_path):
    blobs = Blobs()
    layers = [blobs.seal_files({f"{n}/{m}": bytes(1000) for m in range(20)}) for n in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: unpack(layers, blobs, tmp_path / "unpacked", ignore), range(8)))
    assert all(one == found[0] for one in found)
    assert sorted(path.name for path in (tmp_path / "unpacked").iterdir()) == sorted(p.name for p in found[0])
    assert sum(path.is_file() for path in (tmp_path / "unpacked").rglob("*")) == 80


def damaged(blobs, layer, change):
    with blobs.open(layer.descriptor.digest) as stream:
        data = change(stream.read())
    return replace(layer, descriptor=replace(layer.descriptor, digest=blobs.put(data), size_bytes=len(data)))


@pytest.mark.parametrize(
    "change",
    [
        lambda blob: blob[: len(blob) // 2],
        lambda blob: blob[:-4],
        lambda blob: b"not gzip" + blob,
        lambda blob: blob[:40] + bytes([blob[40] ^ 1]) + blob[41:],
        lambda _: gzip.compress(tar(entry("other"))),
        lambda _: b"",
    ],
)
def test_a_layer_with_other_bytes_is_refused_and_leaves_nothing(tmp_path, change):
    blobs = Blobs()
    layer = damaged(blobs, blobs.seal_files({"file": os.urandom(3000)}, "numpy 2.4.6"), change)
    with pytest.raises(IntegrityError, match=r"numpy 2\.4\.6"):
        unpack([layer], blobs, tmp_path / "unpacked", ignore)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_a_layer_of_unknown_compression_is_refused(tmp_path):
    blobs = Blobs()
    layer = blobs.seal_files({"x": b""})
    foreign = replace(layer, descriptor=replace(layer.descriptor, media_type="application/zip"))
    with pytest.raises(IntegrityError, match="application/zip"):
        unpack([foreign], blobs, tmp_path, ignore)


def test_a_layer_in_zstd_is_read_or_the_way_out_is_named(tmp_path):
    data = tar(entry("x", b"contents"))
    # a frame of one raw block (RFC 8878): magic, single segment with a 4-byte size, block header, contents
    block = (len(data) << 3 | 1).to_bytes(3, "little") + data
    blob = bytes.fromhex("28b52ffd a0") + len(data).to_bytes(4, "little") + block
    blobs = Blobs()
    layer = Layer(Descriptor(LAYER_ZSTD, blobs.put(blob), len(blob)), Digest.of(data), "base", "x")
    if zstd is None:
        with pytest.raises(VerifyError, match=r"install 'lading\[zstd\]'"):
            unpack([layer], blobs, tmp_path, ignore)
        return
    assert (unpack([layer], blobs, tmp_path, ignore)[0] / "x").read_bytes() == b"contents"


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    blobs = Blobs()
    (old := tmp_path / ".partial-old").mkdir()
    (old / "file").write_text("x")
    os.utime(old, (0, time.time() - 25 * 3600))
    (young := tmp_path / ".partial-young").mkdir()
    unpack([blobs.seal_files({"x": b""})], blobs, tmp_path, ignore)
    assert not old.exists()
    assert young.exists()
