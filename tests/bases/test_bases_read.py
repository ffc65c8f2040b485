"""What is read of an image's files: Pythons, the C library, users; small files stand in for large ones."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from lading.bases import Settings, read
from lading.bases.config import layers, parse
from lading.bases.root import Root
from lading.core import canonical
from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LockError
from lading.core.lock import Interpreter
from lading.core.platform import Libc, Platform

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
MACHINES = {AMD64: 62, ARM64: 183}
GLIBC = b"...GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\nCopyright"
LIBC = {
    AMD64: ("lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
    ARM64: ("lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
}


class Image:
    """A folder that layers came to."""

    def __init__(self, folder: Path, platform: Platform = AMD64) -> None:
        self.folder = folder
        self.platform = platform

    def file(self, path: str, data: bytes | str = b"", mode: int = 0o644) -> None:
        at = self.folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(data.encode() if isinstance(data, str) else data)
        at.chmod(mode)

    def link(self, path: str, target: str) -> None:
        at = self.folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.symlink_to(target)

    def elf(self, path: str, data: bytes = b"", mode: int = 0o755) -> None:
        head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 3, MACHINES[self.platform])
        self.file(path, head.ljust(64, b"\0") + data, mode)

    def glibc(self) -> None:
        loader, folder = LIBC[self.platform]
        self.elf(f"{folder}/libc.so.6", GLIBC)
        self.elf(f"{folder}/ld.so")
        self.link(loader, f"/{folder}/ld.so")

    def python(self, path: str, version: str, *, library: str = "lib") -> None:
        minor = ".".join(version.split(".")[:2])
        self.elf(path, b"text\0" + version.encode() + b"\0more")
        prefix = str(Path(path).parent.parent)
        self.file(f"{prefix}/{library}/python{minor}/os.py")

    def read(self, user: str = "", **variables: str):
        settings = Settings((), (), variables, user, "")
        return read(self.folder, settings, self.platform, "x")


@pytest.fixture(params=[AMD64, ARM64], ids=str)
def image(tmp_path: Path, request: pytest.FixtureRequest) -> Image:
    found = Image(tmp_path / "root", request.param)
    found.glibc()
    return found


def test_the_python_of_docker_s_image_is_found(image):
    image.elf("usr/local/bin/python3.12")
    image.elf("usr/local/lib/libpython3.12.so.1.0", b"\0003.12.8\0")
    image.file("usr/local/lib/python3.12/os.py")
    image.link("usr/local/bin/python3", "python3.12")
    image.link("usr/local/bin/python", "python3")
    assert image.read(PATH="/usr/local/bin:/usr/bin").interpreters == (
        Interpreter("/usr/local/bin/python3.12", "3.12.8"),
    )
    assert image.read().libc == Libc("glibc", 2, 36)


def test_a_virtual_environment_s_python_is_that_of_its_home(image):
    image.python("opt/conda/bin/python3.11", "3.11.9")
    image.link("opt/venv/bin/python3", "/opt/conda/bin/python3.11")
    image.link("opt/venv/bin/python", "python3")
    assert [one.path for one in image.read(PATH="/opt/venv/bin:/bin").interpreters] == [
        "/opt/conda/bin/python3.11"
    ]


def test_pythons_come_in_the_order_of_the_path_and_of_alternatives(image):
    image.python("usr/bin/python3.9", "3.9.2")
    image.python("usr/bin/python3.11", "3.11.2")
    image.python("opt/own/bin/python3.13", "3.13.1", library="lib64")
    image.link("etc/alternatives/python3", "/usr/bin/python3.9")
    image.link("usr/bin/python3", "/etc/alternatives/python3")
    found = image.read(PATH="/opt/own/bin:/usr/bin").interpreters
    assert [one.version for one in found] == ["3.13.1", "3.9.2", "3.11.2"]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ("usr/include/python3.11/patchlevel.h", '#define PY_VERSION   "3.11.4+"\n'),
        ("usr/conda-meta/python-3.11.4-hab00c5b_0.json", "{}"),
        ("lib/apk/db/installed", "P:python3-pyc\nV:3.11.9-r0\n\nP:python3\nA:x86_64\nV:3.11.4-r2\n"),
        ("var/lib/dpkg/status", "Package: python3.11-minimal\nStatus: x\nVersion: 3.11.4-6+deb12u9\n"),
    ],
)
def test_where_the_executable_does_not_say_its_version_records_do(image, record, text):
    image.elf("usr/bin/python3.11")
    image.file("usr/lib/python3.11/os.py")
    image.file(record, text)
    assert image.read().interpreters == (Interpreter("/usr/bin/python3.11", "3.11.4"),)


def test_what_no_package_can_use_is_no_python(image):
    image.python("usr/bin/python3.7", "3.7.3")
    image.python("root/.local/bin/python3.12", "3.12.1")
    (image.folder / "root").chmod(0o700)
    image.link("usr/bin/python3", "/root/.local/bin/python3.12")
    image.elf("usr/local/bin/python3.10", b"\0003.10.1\0")  # without its library
    image.elf("usr/bin/pypy3.10")
    image.link("usr/local/bin/python3", "/usr/bin/pypy3.10")
    image.file("usr/bin/python3.11", "#!/bin/sh\nexec python\n", 0o755)
    image.file("usr/lib/python3.11/os.py")
    other = Image(image.folder, ARM64 if image.platform == AMD64 else AMD64)
    other.python("opt/other/bin/python3.12", "3.12.2")
    image.python("usr/bin/python3.13t", "3.13.1")
    assert image.read().interpreters == ()


def test_no_link_leads_out_of_the_image(tmp_path):
    (tmp_path / "secret").write_text("secret")
    image = Image(tmp_path / "root")
    image.link("up", "../secret")
    image.link("absolute", str(tmp_path / "secret"))
    image.link("loop", "loop")
    image.link("etc/deep", "../../../../../../secret")
    root = Root(image.folder)
    assert [root.text(path) for path in ("/up", "/absolute", "/loop", "/etc/deep", "/../secret")] == [
        None
    ] * 5
    image.file("secret", "of the image")
    assert root.text("/etc/deep") == root.text("/up") == "of the image"


@pytest.mark.parametrize("in_record", [True, False])
def test_musl_is_found_by_alpine_s_record_or_in_the_loader(tmp_path, in_record):
    image = Image(tmp_path)
    image.elf("lib/ld-musl-x86_64.so.1", b"" if in_record else b"musl libc (x86_64)\0001.2.5\0")
    if in_record:
        image.file("lib/apk/db/installed", "C:Q1=\nP:musl\nV:1.2.5-r0\nA:x86_64\n\nP:zlib\nV:1.3\n")
    image.python("usr/bin/python3.12", "3.12.8")
    image.file("etc/ssl/cert.pem")
    found = image.read()
    assert (str(found.libc), found.interpreters[0].version) == ("musl 1.2", "3.12.8")
    assert found.certificates == "/etc/ssl/cert.pem"


def test_glibc_wins_where_musl_is_installed_beside_it(image):
    image.elf("lib/ld-musl-x86_64.so.1", b"\0001.2.3\0")
    image.elf("lib/ld-musl-aarch64.so.1", b"\0001.2.3\0")
    assert image.read().libc == Libc("glibc", 2, 36)


def test_a_base_without_a_c_library_is_refused(tmp_path):
    image = Image(tmp_path)
    image.elf("app")
    with pytest.raises(LockError, match="has no C library"):
        image.read()


def test_a_package_of_lading_s_is_no_image_base(image):
    image.file("opt/lading/bill.json")
    with pytest.raises(LockError, match="environment:NAME"):
        image.read()


def test_a_link_in_the_place_of_our_files_is_refused(image):
    image.link("opt", "/usr/local/opt")
    (image.folder / "usr/local/opt").mkdir(parents=True)
    with pytest.raises(LockError, match="a link at /opt"):
        image.read()


@pytest.mark.parametrize(
    ("user", "numbers"),
    [
        ("", None),
        ("root", None),
        ("0", None),
        ("0:0", None),
        ("app", "1000:1001"),
        ("app:www", "1000:33"),
        ("1000", "1000:1001"),
        ("1234", "1234:0"),
        ("1234:5", "1234:5"),
        ("1000:www", "1000:33"),
    ],
)
def test_a_user_is_told_in_numbers(image, user, numbers):
    image.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
    image.file("etc/group", "www:x:33:\n")
    assert image.read(user).user == numbers


def test_a_user_that_the_image_does_not_know_is_refused(image):
    with pytest.raises(LockError, match="has no 'ghost'"):
        image.read("ghost")


def test_what_completes_a_base_is_known(image):
    assert (image.read().passwd, image.read().has_tmp) == ("", False)
    image.file("etc/passwd", "root:x:0:0::/:/bin/sh\n")
    image.link("tmp", "/var/tmp")
    (image.folder / "var/tmp").mkdir(parents=True)
    assert (image.read().passwd, image.read().has_tmp) == ("root:x:0:0::/:/bin/sh\n", True)
    (image.folder / "etc/passwd").unlink()
    image.link("etc/passwd", "/elsewhere/passwd")
    assert image.read().passwd is None


def test_the_distribution_is_told_with_dpkg_s_record(image):
    image.file("usr/lib/os-release", 'ID=debian\nVERSION_CODENAME="bookworm"\nBROKEN="\n')
    image.link("etc/os-release", "../usr/lib/os-release")
    image.file("var/lib/dpkg/status.d/libc6", "Package: libc6\nVersion: 2.36-9\n")
    image.file("var/lib/dpkg/status.d/libc6.md5sums", "0  x\n")
    image.file("var/lib/dpkg/status.d/zlib1g", "Package: zlib1g\nVersion: 1.2\n\n")
    found = image.read().distribution
    assert (found.identifier, found.codename, found.has_dpkg) == ("debian", "bookworm", False)
    assert found.status == "Package: libc6\nVersion: 2.36-9\n\nPackage: zlib1g\nVersion: 1.2\n"
    shutil.rmtree(image.folder / "usr/lib/os-release", ignore_errors=True)


def config(**changes):
    document = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Env": ["A=1=2", "PATH=/x", "odd"], "User": "me", "WorkingDir": "/srv"},
        "rootfs": {"type": "layers", "diff_ids": [str(Digest.of(b"1"))]},
        "history": [{"created_by": "COPY x"}, {"created_by": "ENV A", "empty_layer": True}],
    }
    return canonical.encode({**document, **changes})


def test_a_config_says_how_an_image_runs():
    found = parse(config(), AMD64, "x")
    assert (dict(found.variables), found.user, found.working_dir) == (
        {"A": "1=2", "PATH": "/x"},
        "me",
        "/srv",
    )
    (layer,) = layers([Descriptor(LAYER_GZIP, Digest.of(b"z"), 1)], found, "x")
    assert (layer.diff_id, layer.kind, layer.title) == (Digest.of(b"1"), "image", "base 1 of 1: COPY x")


def test_an_image_of_another_processor_is_refused():
    with pytest.raises(LockError, match="is for linux/amd64, expected linux/arm64"):
        parse(config(), ARM64, "x")


def test_layers_that_may_not_be_passed_on_are_refused():
    kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    with pytest.raises(LockError, match="foreign"):
        layers([Descriptor(kind, Digest.of(b"z"), 1)], parse(config(), AMD64, "x"), "x")
    with pytest.raises(IntegrityError, match="got 0 layers"):
        layers([], parse(config(), AMD64, "x"), "x")


def test_docker_s_words_for_layers_become_the_specification_s():
    kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    (layer,) = layers([Descriptor(kind, Digest.of(b"z"), 1)], parse(config(), AMD64, "x"), "x")
    assert layer.descriptor.media_type == LAYER_GZIP


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": [1]}, "config: got a list, expected an object"),
        ({"config": {"Env": {"a": 1}}}, "Env: got an object, expected a list of texts alone"),
        ({"config": {"Env": "X=1"}}, "Env: got a text, expected a list of texts alone"),
        ({"config": {"Env": ["X=1", 2]}}, "Env: got a list, expected a list of texts alone"),
        ({"config": {"User": ["x"]}}, "User: got ['x'], expected a text"),
        ({"config": {"WorkingDir": 0}}, "WorkingDir: got 0, expected a text"),
        ({"rootfs": {"diff_ids": ["x"]}}, "diff_ids: got 'x', expected 'sha256:'"),
        ({"rootfs": {"diff_ids": [7]}}, "diff_ids: got '7', expected 'sha256:'"),
    ],
)
def test_what_a_config_has_of_another_kind_is_named_with_the_base(changes, said):
    with pytest.raises(IntegrityError) as caught:
        parse(config(**changes), AMD64, "me/base:1")
    (issue,) = caught.value.issues
    assert issue.where == "me/base:1"
    assert issue.what.startswith(f"its config is malformed: {said}")


def test_all_that_is_malformed_in_a_config_is_named_at_once():
    with pytest.raises(IntegrityError) as caught:
        parse(config(config={"Env": 1, "User": 2}, rootfs={"diff_ids": ["x", "y"]}), AMD64, "x")
    assert len(caught.value.issues) == 4


@pytest.mark.parametrize("value", [None, {}, {"Env": None, "User": None, "WorkingDir": None}])
def test_a_config_may_leave_out_how_its_image_runs(value):
    found = parse(config(config=value), AMD64, "x")
    assert (dict(found.variables), found.user, found.working_dir) == ({}, "", "")
