from __future__ import annotations

import io
import lzma
import tarfile
import zlib

import pytest

from lading.core.digest import Digest
from lading.core.errors import IntegrityError
from lading.layers import deb
from lading.layers.compress import compressor
from lading.layers.tar import LayerWriter

CONTROL = "Package: a\nVersion: 1\nArchitecture: amd64\n"


class Blob(io.BytesIO):
    def commit(self, _expected=None):
        return Digest.of(self.getvalue())


def entry(name, data=b"", kind=tarfile.REGTYPE, mode=0o644, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.size = kind, mode, link, len(data)
    info.mtime, info.uid, info.uname = 1234567890, 1000, "somebody"
    return info, data


def folder(name, mode=0o755):
    return entry(name, kind=tarfile.DIRTYPE, mode=mode)


def link(name, target):
    return entry(name, kind=tarfile.SYMTYPE, link=target)


def archive(entries):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def gzip(data):
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return packer.compress(data) + packer.flush()


def ar(members):
    body = b"!<arch>\n"
    for name, data in members:
        body += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}".encode() + b"`\n"
        body += data + b"\n" * (len(data) % 2)
    return body


@pytest.fixture
def package(tmp_path):
    def make(*entries, control=CONTROL, name="a.deb", pack=lzma.compress, suffix=".xz", data=None):
        path = tmp_path / name
        packed = pack(archive(entries) if data is None else data)
        info = gzip(archive([entry("./control", control.encode())]))
        members = [("debian-binary", b"2.0\n"), ("control.tar.gz", info), (f"data.tar{suffix}", packed)]
        path.write_bytes(ar(members))
        return path

    return make


def layer(path):
    """Return the layer's tar entries by path, with the contents of files."""
    blob = Blob()
    writer = LayerWriter(blob)
    deb.write(path, writer)
    writer.finish()
    with tarfile.open(fileobj=io.BytesIO(blob.getvalue()), mode="r:gz") as tar:
        return {one.name: (one, tar.extractfile(one).read() if one.isfile() else b"") for one in tar}


def targets(path):
    return {name: one.linkname for name, (one, _) in layer(path).items() if one.issym()}


def test_files_lie_where_the_package_puts_them(package):
    found = layer(package(folder("./"), folder("./etc/"), entry("./etc/a.conf", b"x=1\n")))
    assert found["etc/a.conf"][1] == b"x=1\n"
    assert found["etc"][0].isdir()


def test_owners_and_times_of_the_package_are_forgotten(package):
    info = layer(package(entry("./etc/a", b"1")))["etc/a"][0]
    assert (info.uid, info.gid, info.uname, info.mtime) == (0, 0, "", 0)


def test_bin_and_lib_move_into_usr(package):
    found = layer(
        package(folder("./bin/"), entry("./bin/a", mode=0o755), entry("./lib/x/b"), entry("./lib64/c"))
    )
    assert {name for name, (one, _) in found.items() if one.isfile()} == {
        "usr/bin/a",
        "usr/lib/x/b",
        "usr/lib64/c",
    }
    assert found["usr/bin/a"][0].mode == 0o755


@pytest.mark.parametrize(
    ("name", "target", "moved", "leads_to"),
    [
        ("./lib64/ld.so.2", "/lib/x/ld.so.2", "usr/lib64/ld.so.2", "/usr/lib/x/ld.so.2"),
        ("./lib/x/a.so", "a.so.1", "usr/lib/x/a.so", "a.so.1"),
        ("./lib/x/a.so", "../../usr/share/a", "usr/lib/x/a.so", "../../share/a"),
        ("./usr/lib/x/a.so", "../../../lib/x/a.so.1", "usr/lib/x/a.so", "a.so.1"),
        ("./usr/lib/x/a.so", "/lib/x/a.so.1", "usr/lib/x/a.so", "/usr/lib/x/a.so.1"),
        ("./etc/os-release", "../usr/lib/os-release", "etc/os-release", "../usr/lib/os-release"),
        ("./sbin/a", "/etc/a", "usr/sbin/a", "/etc/a"),
        ("./sbin/a", "../etc/a", "usr/sbin/a", "../../etc/a"),
    ],
)
def test_links_lead_to_where_they_did_before_the_move(package, name, target, moved, leads_to):
    assert targets(package(link(name, target))) == {moved: leads_to}


def test_the_links_of_a_merged_usr_are_left_to_the_root_layer(package):
    assert layer(package(link("./bin", "usr/bin"), folder("./lib64/"), entry("./usr/bin/a"))).keys() == {
        "usr",
        "usr/bin",
        "usr/bin/a",
    }


def test_a_file_in_the_place_of_lib_is_refused(package):
    assert "usr/lib" in layer(package(folder("./usr/lib/")))
    with pytest.raises(IntegrityError):
        layer(package(entry("./lib"), entry("./lib/a")))


def test_documentation_is_left_out_but_the_copyright_stays(package):
    found = layer(
        package(
            entry("./usr/share/doc/a/copyright", b"free"),
            entry("./usr/share/doc/a/changelog.gz"),
            link("./usr/share/doc/b", "a"),
            entry("./usr/share/man/man1/a.1.gz"),
            entry("./usr/share/locale/de/LC_MESSAGES/a.mo"),
            entry("./usr/share/lintian/overrides/a"),
            entry("./usr/share/bug/a"),
            entry("./usr/lib/python3/__pycache__/a.pyc"),
            entry("./usr/share/zoneinfo/right/UTC"),
            entry("./usr/share/zoneinfo/UTC"),
        )
    )
    assert {name for name, (one, _) in found.items() if not one.isdir()} == {
        "usr/share/doc/a/copyright",
        "usr/share/doc/b",
        "usr/share/zoneinfo/UTC",
    }


def test_hard_links_become_copies_even_of_what_moved(package):
    found = layer(
        package(entry("./bin/a", b"same", mode=0o755), entry("./usr/b", kind=tarfile.LNKTYPE, link="./bin/a"))
    )
    assert found["usr/b"][1] == b"same"
    assert found["usr/b"][0].isreg()
    assert found["usr/b"][0].mode == 0o755


def test_a_hard_link_to_nothing_is_refused(package):
    with pytest.raises(IntegrityError, match="neither file"):
        layer(package(entry("./b", kind=tarfile.LNKTYPE, link="./a")))


def test_setuid_is_dropped_and_the_sticky_bit_kept(package):
    found = layer(
        package(entry("./usr/bin/su", mode=0o4755), folder("./var/mail/", 0o2775), folder("./tmp/", 0o1777))
    )
    modes = {name: found[name][0].mode for name in ("usr/bin/su", "var/mail", "tmp")}
    assert modes == {"usr/bin/su": 0o755, "var/mail": 0o775, "tmp": 0o1777}


@pytest.mark.parametrize("name", ["/etc/passwd", "./../a", "./a/../../b", "./a//b"])
def test_a_path_that_escapes_is_refused(package, name):
    with pytest.raises(IntegrityError, match="not a path below the root"):
        layer(package(entry(name)))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(package, kind):
    with pytest.raises(IntegrityError, match="neither file, directory nor link"):
        layer(package(entry("./dev/a", kind=kind)))


def test_a_path_that_comes_twice_is_refused(package):
    with pytest.raises(IntegrityError, match="comes twice"):
        layer(package(entry("./bin/a"), entry("./usr/bin/a")))


def test_a_file_below_a_link_is_refused(package):
    with pytest.raises(IntegrityError, match="not a directory"):
        layer(package(link("./a", "/etc"), entry("./a/passwd")))


def test_the_order_in_the_package_does_not_matter(package):
    entries = [folder("./etc/"), entry("./etc/a", b"1"), entry("./usr/b", b"2"), link("./lib/c", "d")]
    blobs = []
    for index, order in enumerate((entries, entries[::-1])):
        blob = Blob()
        writer = LayerWriter(blob)
        deb.write(package(*order, name=f"{index}.deb"), writer)
        blobs.append(writer.finish())
    assert blobs[0] == blobs[1]


def test_gzip_and_plain_archives_are_read_too(package):
    assert layer(package(entry("./a", b"1"), pack=gzip, suffix=".gz"))["a"][1] == b"1"
    assert layer(package(entry("./a", b"1"), pack=bytes, suffix=""))["a"][1] == b"1"


def test_another_compression_is_named(package):
    with pytest.raises(IntegrityError, match=r"data\.tar\.bz2.*expected xz, zstd or gzip"):
        layer(package(entry("./a"), pack=bytes, suffix=".bz2"))


@pytest.mark.parametrize("pack", [(lzma.compress, ".xz"), (gzip, ".gz"), (compressor("zstd"), ".zst")])
def test_a_bomb_is_stopped(package, pack):
    bomb = archive([entry("./a", bytes(64 << 20))])
    with pytest.raises(IntegrityError, match="grows beyond"):
        layer(package(data=bomb, pack=pack[0], suffix=pack[1]))


def test_a_package_cut_anywhere_is_refused(package, tmp_path):
    whole = package(entry("./etc/a", bytes(range(256)) * 400)).read_bytes()
    for length in [0, 7, 8, 40, 68, 80, 200, len(whole) // 2, len(whole) - 8]:
        path = tmp_path / "cut.deb"
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError):
            layer(path)


def test_any_damage_to_the_data_is_caught(package, tmp_path):
    whole = package(entry("./etc/a", bytes(range(256)) * 400)).read_bytes()
    begin = whole.index(b"data.tar.xz") + 60
    for at in range(begin, len(whole) - 1, 7):
        path = tmp_path / "damaged.deb"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(IntegrityError):
            layer(path)


def test_the_control_stanza_is_returned(package):
    assert deb.control(package()) == CONTROL
