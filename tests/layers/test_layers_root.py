from __future__ import annotations

import io
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LockError
from lading.fetch import HttpFetch
from lading.layers import deb, root
from lading.layers.tar import LayerWriter
from lading.lock import debian
from lading.lock.debian_mirror import find_mirror
from lading.lock.interpreter import SUITES

QUIET = "ignore::DeprecationWarning"
# what a model may want of the base: TLS with authorities, time zones, C++, OpenMP, the whole library
PROGRAM = """\
import ctypes, datetime, os, pathlib, pwd, socket, ssl, sys, sysconfig, zoneinfo
ctypes.CDLL("libstdc++.so.6"), ctypes.CDLL("libgomp.so.1")
assert len(ssl.create_default_context().get_ca_certs()) > 100
for name in ("US/Eastern", "Europe/Berlin", "UTC"):
    zoneinfo.ZoneInfo(name)
assert datetime.datetime.now().astimezone().tzname() == "UTC"
assert pwd.getpwuid(os.getuid()).pw_name == "lading"
assert socket.getservbyname("https") == 443
assert sys.getfilesystemencoding() == "utf-8"
library = pathlib.Path(sysconfig.get_path("stdlib"), "lib-dynload")
names = sorted(path.name.partition(".")[0] for path in library.glob("*.so"))
for name in names:
    if name != "nis" and not name.startswith(("_test", "_xxtest", "xx")):
        __import__(name)
import asyncio, bz2, decimal, hashlib, lzma, multiprocessing, sqlite3, urllib.request, xml.sax
if sys.version_info < (3, 12):
    import distutils.core, lib2to3.pygram
print(len(names), sys.version.split()[0])
"""


class Blob(io.BytesIO):
    def commit(self, _expected=None):
        return Digest.of(self.getvalue())


def sealed(write, source):
    blob = Blob()
    writer = LayerWriter(blob)
    write(source, writer)
    writer.finish()
    return blob.getvalue()


def entries(data):
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {one.name: (one, tar.extractfile(one).read() if one.isfile() else b"") for one in tar}


@pytest.fixture
def package(tmp_path):
    def archive(files):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return lzma.compress(file.getvalue())

    def make(name, *, architecture="amd64", files=None):
        control = f"Package: {name}\nVersion: 1\nArchitecture: {architecture}\nDescription: short\n long\n"
        members = {
            "debian-binary": b"2.0\n",
            "control.tar.xz": archive({"./control": control.encode()}),
            "data.tar.xz": archive(files or {}),
        }
        body = b"!<arch>\n"
        for member, data in members.items():
            body += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}".encode() + b"`\n"
            body += data + b"\n" * (len(data) % 2)
        path = tmp_path / f"{name}.deb"
        path.write_bytes(body)
        return path

    return make


@pytest.fixture
def base(package):
    folder = "./usr/share/ca-certificates/mozilla"
    certificates = {f"{folder}/b.crt": b"B\n\n", f"{folder}/a.crt": b"A", f"{folder}/README": b"no"}
    return [package("ca-certificates", architecture="all", files=certificates), package("python3.11-minimal")]


def test_scanners_find_every_package_in_dpkgs_status(base):
    status = entries(sealed(root.write, base))["var/lib/dpkg/status"][1].decode()
    first, second = status.split("\n\n")
    assert first == (
        "Package: ca-certificates\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n"
        "Description: short\n long"
    )
    assert second.startswith("Package: python3.11-minimal\nStatus: install ok installed\n")
    assert second.endswith("\n")


def test_the_authorities_are_joined_in_order(base):
    assert entries(sealed(root.write, base))["etc/ssl/certs/ca-certificates.crt"][1] == b"A\nB\n"


def test_the_links_that_scripts_would_have_made_are_there(base):
    links = {
        name: one.linkname for name, (one, _) in entries(sealed(root.write, base)).items() if one.issym()
    }
    assert links == {
        "bin": "usr/bin",
        "lib": "usr/lib",
        "lib64": "usr/lib64",
        "sbin": "usr/sbin",
        "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
        "usr/bin/python3": "python3.11",
        "usr/lib/ssl/cert.pem": "/etc/ssl/certs/ca-certificates.crt",
        "usr/lib/ssl/certs": "/etc/ssl/certs",
    }


def test_lib64_is_amd64s_alone(package, base):
    arm = [base[0], package("python3.11-minimal", architecture="arm64")]
    assert "lib64" not in entries(sealed(root.write, arm))


def test_what_a_package_brings_itself_is_left_to_it(package, base):
    found = entries(sealed(root.write, [*base, package("openssl"), package("python3-minimal")]))
    assert not {"usr/lib/ssl/cert.pem", "usr/lib/ssl/certs", "usr/bin/python3"} & found.keys()


def test_anybody_may_write_to_tmp_and_there_is_a_user(base):
    found = entries(sealed(root.write, base))
    assert found["tmp"][0].mode == 0o1777
    assert b"lading:x:65532:0:lading:/tmp:" in found["etc/passwd"][1]


def test_the_order_of_the_packages_does_not_matter(base):
    assert sealed(root.write, base) == sealed(root.write, base[::-1])


def test_packages_that_are_no_base_are_refused(package):
    with pytest.raises(IntegrityError, match="no package ca-certificates"):
        sealed(root.write, [package("a")])


@pytest.fixture(scope="module")
def real_layers(tmp_path_factory):
    """Return the layers of a real base, by title."""
    made = {}
    folder = tmp_path_factory.mktemp("debian")

    def make(suite, architecture="amd64"):
        if (suite, architecture) in made:
            return made[suite, architecture]
        try:
            mirror = find_mirror()
        except LockError as error:
            pytest.skip(str(error))
        with HttpFetch(folder, proxies=mirror.proxies, credentials=mirror.credentials) as fetch:
            locked = debian.resolve(suite, architecture, fetch=fetch, mirror=mirror)
            debs = [debian.download(one, fetch=fetch, mirror=mirror) for one in locked.packages]
        layers = {one.name: sealed(deb.write, path) for one, path in zip(locked.packages, debs, strict=True)}
        made[suite, architecture] = {**layers, "root": sealed(root.write, debs)}
        return made[suite, architecture]

    return make


@pytest.mark.network
@pytest.mark.parametrize("suite", [*SUITES])
def test_no_two_layers_of_a_base_share_a_file(real_layers, suite):
    owners: dict[str, str] = {}
    folders: dict[str, tuple[str, int]] = {}
    for title, data in real_layers(suite).items():
        for path, (one, _) in entries(data).items():
            if one.isdir():
                known = folders.setdefault(path, (title, one.mode))
                # a folder in two layers must be the same in both, or their order would matter
                assert known[1] == one.mode, (path, title, known)
            else:
                assert owners.setdefault(path, title) == title, (path, title, owners[path])
    assert not owners.keys() & folders.keys()


@pytest.mark.network
@pytest.mark.parametrize("suite", [*SUITES])
def test_a_base_is_small(real_layers, suite):
    assert sum(map(len, real_layers(suite).values())) < 22e6


def unpack(layers, folder):
    for data in layers.values():
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for one in tar:
                if not (folder / one.name).is_dir():
                    tar.extract(
                        one,
                        folder,
                        **({"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}),
                    )


def run(folder, *argv):
    command = [
        "bwrap",
        "--unshare-all",
        "--uid",
        "65532",
        "--gid",
        "0",
        "--clearenv",
        "--ro-bind",
        str(folder),
        "/",
    ]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)


needs_bwrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bwrap: apt-get install bubblewrap")


@pytest.mark.network
@needs_bwrap
@pytest.mark.parametrize(("suite", "python"), [(name, suite.python) for name, suite in SUITES.items()])
def test_python_of_every_suite_runs_from_its_layers(real_layers, suite, python, tmp_path):
    unpack(real_layers(suite), tmp_path)
    done = run(tmp_path, f"/usr/bin/python{python}", "-W", QUIET, "-c", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[1].startswith(f"{python}.")
    assert run(tmp_path, "/bin/python3", "-c", "").returncode == 0


@pytest.mark.network
@needs_bwrap
@pytest.mark.skipif(not shutil.which("qemu-aarch64-static"), reason="apt-get install qemu-user-static")
@pytest.mark.parametrize("suite", ["bookworm", pytest.param("trixie", marks=pytest.mark.slow)])
def test_python_for_arm64_runs_from_its_layers(real_layers, suite, tmp_path):
    unpack(real_layers(suite, "arm64"), tmp_path)
    emulator = tmp_path / "opt" / "qemu"
    emulator.parent.mkdir(exist_ok=True)
    shutil.copy(Path(shutil.which("qemu-aarch64-static") or ""), emulator)
    done = run(tmp_path, "/opt/qemu", "/usr/bin/python3", "-W", QUIET, "-c", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
