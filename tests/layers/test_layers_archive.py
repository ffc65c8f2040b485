"""An interpreter's archive as a layer: laid out whole, the same every time, and nothing outside of it."""

import gzip
import io
import tarfile

import pytest

from lading.core.errors import IntegrityError
from lading.layers import archive
from lading.layers.tar import LayerWriter
from lading.store import MemoryStore

PYTHON = "python/bin/python3.9"


def entry(name, data=b"", *, kind=tarfile.REGTYPE, link="", mode=0o644):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size, member.mode = kind, link, len(data), mode
    return member, io.BytesIO(data)


def pack(path, *entries, mtime=0):
    with gzip.GzipFile(path, "wb", mtime=mtime) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for member, data in (entry(PYTHON, b"elf", mode=0o755), *entries):
            tar.addfile(member, data)
    return path


def lay_out(path):
    store = MemoryStore()
    with store.create() as blob:
        writer = LayerWriter(blob)
        archive.write(path, "opt/lading/python/3.9", "bin/python3.9", writer)
        sealed = writer.finish()
    with store.open(sealed.digest) as blob, tarfile.open(fileobj=blob, mode="r:gz") as tar:
        return sealed.digest, {member.name: (member, _read(tar, member)) for member in tar}


def _read(tar, member):
    return tar.extractfile(member).read() if member.isreg() else member.linkname


def test_files_links_and_programs_are_laid_out_below_the_prefix(tmp_path):
    path = pack(
        tmp_path / "a.tar.gz",
        entry("python/bin/python3", kind=tarfile.SYMTYPE, link="python3.9"),
        entry("python/bin/again", kind=tarfile.LNKTYPE, link=PYTHON, mode=0o755),
        entry("python/lib/python3.9/os.py", b"import sys"),
        entry("python/lib/python3.9/__pycache__/os.pyc", b"old"),
        entry("python/lib/python3.9/test/test_os.py", b"assert 1"),
        entry("python/share/man/man1/python3.1", b"manual"),
        entry("python/lib/libpython3.9.a", b"archive"),
    )
    _, found = lay_out(path)
    root = "opt/lading/python/3.9"
    assert found[f"{root}/bin/python3"][1] == "python3.9"
    assert found[f"{root}/bin/again"][1] == b"elf"
    assert found[f"{root}/bin/python3.9"][0].mode == 0o755
    assert {name for name, (member, _) in found.items() if not member.isdir()} == {
        *(f"{root}/bin/{name}" for name in ("python3.9", "python3", "again")),
        f"{root}/lib/python3.9/os.py",
    }


def test_the_layer_depends_on_the_files_alone(tmp_path):
    one = pack(tmp_path / "one.tar.gz", entry("python/lib/x", b"x" * 5000))
    two = pack(tmp_path / "two.tar.gz", entry("python/lib/x", b"x" * 5000), mtime=1700000000)
    assert lay_out(one)[0] == lay_out(two)[0]


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (entry("elsewhere/file"), "not below 'python/'"),
        (entry("/python/file"), "not below 'python/'"),
        (entry("python/../../file"), "not below 'python/'"),
        (
            entry("python/lib/out", kind=tarfile.SYMTYPE, link="../../etc/passwd"),
            "outside of the interpreter",
        ),
        (entry("python/lib/out", kind=tarfile.SYMTYPE, link="/etc/passwd"), "outside of the interpreter"),
        (entry("python/null", kind=tarfile.CHRTYPE), "neither a file"),
        (entry("python/lib/out", kind=tarfile.LNKTYPE, link="python/missing"), "cannot be read"),
        (entry(PYTHON, b"again"), "comes twice"),
    ],
)
def test_what_would_leave_the_interpreter_is_refused(tmp_path, bad, what):
    with pytest.raises(IntegrityError, match=what):
        lay_out(pack(tmp_path / "a.tar.gz", bad))


def test_an_archive_without_its_program_or_without_its_end_is_refused(tmp_path):
    path = pack(tmp_path / "a.tar.gz", entry("python/lib/x", b"x" * 100_000))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(IntegrityError, match="cannot be read"):
        lay_out(path)
    with gzip.open(path, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(*entry("python/lib/x"))
    with pytest.raises(IntegrityError, match=r"has no 'python/bin/python3\.9'"):
        lay_out(path)
