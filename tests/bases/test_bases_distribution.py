"""What an image tells of its distribution, for system packages to be added to it."""

import base64

import pytest

from lading import bases
from lading.core.platform import Platform

SETTINGS = bases.Settings((), (), {}, "", "")
STANZA = "Package: tzdata\nVersion: 1\n"


@pytest.fixture
def root(tmp_path):
    """Files of an image with merged /usr and glibc."""
    library = tmp_path / "usr/lib/x86_64-linux-gnu"
    library.mkdir(parents=True)
    (library / "libc.so.6").write_bytes(b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n")
    (tmp_path / "usr/lib64").mkdir()
    (tmp_path / "usr/lib64/ld-linux-x86-64.so.2").write_bytes(b"")
    for name in ("lib", "lib64"):
        (tmp_path / name).symlink_to(f"usr/{name}")
    (tmp_path / "etc").mkdir()
    return tmp_path


def told(root):
    return bases.read(root, SETTINGS, Platform.parse("linux/amd64"), "base").distribution


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_an_image_of_debian_has_dpkgs_record_a_cache_and_alternatives(root):
    write(root, "usr/lib/os-release", 'ID=debian\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\n')
    write(root, "var/lib/dpkg/status", STANZA)
    write(root, "etc/ld.so.cache", "cache")
    write(root, "etc/alternatives/awk", "")
    found = told(root)
    assert (found.identifier, found.codename, found.status) == ("debian", "bookworm", STANZA)
    assert found.has_dpkg
    assert found.is_merged
    assert base64.b64decode(found.linker_cache) == b"cache"
    assert found.alternatives == ("awk",)


def test_a_distroless_image_has_a_file_for_each_package_and_its_codename_in_brackets(root):
    write(root, "etc/os-release", 'ID="debian"\nVERSION_ID="12"\nVERSION="Debian GNU/Linux 12 (bookworm)"\n')
    write(root, "var/lib/dpkg/status.d/tzdata", STANZA)
    write(root, "var/lib/dpkg/status.d/tzdata.md5sums", "0  usr/share/zoneinfo/UTC\n")
    found = told(root)
    assert (found.identifier, found.codename, found.status) == ("debian", "bookworm", STANZA)
    assert not found.has_dpkg


def test_an_image_without_merged_usr_is_told(root):
    (root / "lib").unlink()
    (root / "lib").mkdir()
    assert not told(root).is_merged


def test_an_image_that_tells_nothing_is_of_no_distribution(root):
    found = told(root)
    assert (found.identifier, found.codename, found.status, found.alternatives) == ("", "", "", ())
