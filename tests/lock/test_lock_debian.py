from __future__ import annotations

import lzma
import time
from pathlib import Path

import pytest
from pysequoia import SignatureMode, Tsk, sign

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LockError, RegistryError
from lading.core.lock import Interpreter, LockedBase, LockedDeb
from lading.core.platform import Libc
from lading.fetch import HttpFetch
from lading.lock import debian
from lading.lock.debian_mirror import Mirror, find_mirror
from lading.lock.debian_packages import Packages, closure
from lading.lock.interpreter import SUITES

KEY = Tsk.generate("Test Archive <archive@example.org>")
PYTHON = "3.11.2-6"
NEEDED = {
    "python3.11-minimal": "libc6",
    "libpython3.11-stdlib": "libc6, media-types | mime-support, libnsl2, libtirpc3",
    "base-files": "",
    "ca-certificates": "openssl (>= 1.1.1), debconf (>= 0.5) | debconf-2.0",
    "libgomp1": "libc6",
    "libstdc++6": "libc6",
    "netbase": "",
    "tzdata": "debconf (>= 0.5) | debconf-2.0",
    "zlib1g": "libc6",
    "python3-distutils": "python3:any (>= 3.10), python3-lib2to3 (= 3.11.2-6)",
    "python3-lib2to3": "python3:any",
    "libc6": "",
    "media-types": "",
}


def stanza(name, version=PYTHON, depends="", **fields):
    filename = fields.pop("Filename", f"pool/main/{name}_{version}_amd64.deb")
    rows = {"Package": name, "Version": version, "Architecture": "amd64", "Depends": depends, **fields}
    rows |= {"Filename": filename, "Size": "7", "SHA256": Digest.of(f"{name} {version}".encode()).hex}
    return "".join(f"{key}: {value}\n" for key, value in rows.items() if value)


class Archive:
    """A Debian mirror in a folder, signed by a key of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        keyring = folder / "key.pgp"
        keyring.write_bytes(bytes(KEY.extract_certificate()))
        self.mirror = Mirror(folder.as_uri(), f"{folder.as_uri()}-security", (keyring,))
        main = "\n".join(stanza(name, depends=depends) for name, depends in NEEDED.items())
        self.publish("bookworm", main)
        self.publish("bookworm-updates", "")
        self.publish("bookworm-security", "")

    def publish(
        self, suite: str, packages: str, *, codename: str = "", key: Tsk = KEY, extra: str = ""
    ) -> Path:
        root = Path(f"{self.folder}-security") if suite.endswith("-security") else self.folder
        path = root / "dists" / suite / "main/binary-amd64/Packages.xz"
        path.parent.mkdir(parents=True, exist_ok=True)
        plain, packed = packages.encode(), lzma.compress(packages.encode())
        path.write_bytes(packed)
        release = (
            f"Origin: Debian\nCodename: {codename or suite}\n{extra}SHA256:\n"
            f" {Digest.of(plain).hex} {len(plain)} main/binary-amd64/Packages\n"
            f" {Digest.of(packed).hex} {len(packed)} main/binary-amd64/Packages.xz\n"
        )
        signed = sign(key.signer(), release.encode(), mode=SignatureMode.CLEAR)
        (root / "dists" / suite / "InRelease").write_bytes(signed)
        return path


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "debian").mkdir()
    return Archive(tmp_path / "debian")


@pytest.fixture
def fetch(tmp_path):
    with HttpFetch(tmp_path / "cache", attempts=1) as one:
        yield one


def resolve(archive, fetch, **options):
    return debian.resolve("bookworm", "amd64", fetch=fetch, mirror=archive.mirror, **options)


def test_a_base_is_what_python_needs_without_what_scripts_need(archive, fetch):
    base = resolve(archive, fetch)
    assert [deb.name for deb in base.packages] == sorted(NEEDED)
    assert base.reference == "debian:bookworm"
    assert debian.interpreter(base) == Interpreter("/usr/bin/python3.11", "3.11.2")


def test_no_host_stands_in_the_lock(archive, fetch):
    assert str(archive.folder) not in str(resolve(archive, fetch))


def test_a_security_update_comes_before_the_older_version(archive, fetch):
    fixed = stanza("libc6", "3.11.2-6+deb12u1", Filename="pool/updates/main/libc6_2.deb")
    archive.publish("bookworm-security", fixed)
    libc = next(deb for deb in resolve(archive, fetch).packages if deb.name == "libc6")
    assert (libc.version, libc.filename) == ("3.11.2-6+deb12u1", "pool/updates/main/libc6_2.deb")


def test_system_packages_come_with_what_they_need(archive, fetch):
    more = [
        stanza("ffmpeg", depends="libav (>= 2) | libav-extra, dpkg"),
        stanza("libav", "1"),
        stanza("libav-extra"),
    ]
    archive.publish("bookworm-updates", "\n".join(more))
    names = {deb.name for deb in resolve(archive, fetch, system_packages=["ffmpeg"]).packages}
    assert names - NEEDED.keys() == {"ffmpeg", "libav-extra"}


def test_what_scripts_need_comes_when_it_is_asked_for(archive, fetch):
    archive.publish("bookworm-updates", stanza("openssl"))
    assert "openssl" in {deb.name for deb in resolve(archive, fetch, system_packages=["openssl"]).packages}


def test_every_unknown_package_is_reported_with_a_near_name(archive, fetch):
    with pytest.raises(LockError) as caught:
        resolve(archive, fetch, system_packages=["libgompl1", "qqq"])
    assert [issue.what for issue in caught.value.issues] == [
        "debian:bookworm has no package 'libgompl1'",
        "debian:bookworm has no package 'qqq'",
    ]
    assert "did you mean 'libgomp1'?" in str(caught.value)


def test_an_unknown_suite_is_refused(fetch):
    with pytest.raises(LockError, match="got 'debian:jessie', expected 'debian:bookworm'"):
        debian.resolve("jessie", "amd64", fetch=fetch)


def test_a_kept_answer_needs_no_packages_file(archive, fetch, tmp_path):
    first = resolve(archive, fetch, cache=tmp_path / "answers")
    for path in tmp_path.rglob("Packages*"):
        path.unlink()
    for path in (tmp_path / "cache").glob("sha256/*"):
        path.unlink()
    assert resolve(archive, fetch, cache=tmp_path / "answers") == first


def test_a_damaged_answer_is_found_again(archive, fetch, tmp_path):
    first = resolve(archive, fetch, cache=tmp_path / "answers")
    (answer,) = (tmp_path / "answers").iterdir()
    answer.write_text("[{}]")
    assert resolve(archive, fetch, cache=tmp_path / "answers") == first


def test_an_index_signed_by_nobody_known_is_refused(archive, fetch):
    archive.publish("bookworm", "", key=Tsk.generate("Mallory <m@example.org>"))
    with pytest.raises(LockError, match="no signature of a known Debian archive key"):
        resolve(archive, fetch)


def test_an_index_without_a_signature_is_refused(archive, fetch):
    (archive.folder / "dists/bookworm/InRelease").write_bytes(
        b"Origin: Debian\nCodename: bookworm\nSHA256:\n"
    )
    with pytest.raises(LockError, match="no signature"):
        resolve(archive, fetch)


def test_a_changed_index_is_refused(archive, fetch):
    path = archive.folder / "dists/bookworm/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Debian", b"Origin: Debiam"))
    with pytest.raises(LockError, match="no signature"):
        resolve(archive, fetch)


def test_what_stands_outside_the_signature_is_not_read(archive, fetch):
    path = archive.folder / "dists/bookworm/InRelease"
    before = resolve(archive, fetch)
    path.write_bytes(b"Codename: evil\n\n" + path.read_bytes() + b"Codename: evil\n")
    assert resolve(archive, fetch) == before


def test_the_release_of_another_suite_is_refused(archive, fetch):
    archive.publish("bookworm", "", codename="bullseye")
    with pytest.raises(IntegrityError, match="got the release of 'bullseye', expected 'bookworm'"):
        resolve(archive, fetch)


def test_an_index_past_its_date_is_refused_unless_apt_is_told_otherwise(archive, fetch):
    archive.publish("bookworm-updates", "", extra="Valid-Until: Sat, 02 Jan 2021 10:00:00 UTC\n")
    with pytest.raises(LockError, match="valid until 2021-01-02"):
        resolve(archive, fetch)
    mirror = Mirror(
        archive.mirror.main, archive.mirror.security, archive.mirror.keyrings, checks_valid_until=False
    )
    assert debian.resolve("bookworm", "amd64", fetch=fetch, mirror=mirror).packages


def test_a_packages_file_that_the_index_does_not_vouch_for_is_refused(archive, fetch):
    path = archive.folder / "dists/bookworm/main/binary-amd64/Packages.xz"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError):
        resolve(archive, fetch)


def test_an_architecture_the_mirror_lacks_is_named(archive, fetch):
    with pytest.raises(LockError, match="no packages for 'arm64'"):
        debian.resolve("bookworm", "arm64", fetch=fetch, mirror=archive.mirror)


def test_a_missing_security_archive_names_the_setting(archive, fetch):
    mirror = Mirror(archive.mirror.main, f"{archive.mirror.main}-none", archive.mirror.keyrings)
    with pytest.raises(RegistryError, match="LADING_DEBIAN_SECURITY_MIRROR"):
        debian.resolve("bookworm", "amd64", fetch=fetch, mirror=mirror)
    without = Mirror(archive.mirror.main, None, archive.mirror.keyrings)
    assert debian.resolve("bookworm", "amd64", fetch=fetch, mirror=without).packages


@pytest.mark.parametrize(
    "filename", ["../../etc/passwd.deb", "/a.deb", "pool/../a.deb", "pool/a b.deb", "x.txt"]
)
def test_a_filename_that_could_escape_is_refused(filename):
    packages = Packages([stanza("a", Filename=filename).encode()])
    with pytest.raises(IntegrityError, match="malformed entry"):
        packages.newest("a")


def test_a_virtual_package_is_met_by_one_that_provides_it():
    texts = [
        stanza("a", depends="mail (>= 2)"),
        stanza("b", Provides="mail"),
        stanza("c", Provides="mail (= 3)"),
    ]
    packages = Packages(["\n".join(texts).encode()])
    assert [deb.name for deb in closure(packages, ["a"], unneeded=lambda *_: False)] == ["a", "c"]


def test_the_order_of_the_packages_files_does_not_matter():
    texts = [stanza("a", "1"), stanza("a", "2"), stanza("a", "1.5")]
    newest = {Packages(one.encode() for one in order).newest("a") for order in (texts, texts[::-1])}
    assert {one.deb.version for one in newest} == {"2"}


def test_a_package_that_the_mirror_replaced_says_to_lock_again(archive, fetch):
    deb = LockedDeb("a", "1", "amd64", "pool/main/a_1_amd64.deb", Digest.of(b"a"), 1)
    with pytest.raises(RegistryError, match="lock again"):
        debian.download(deb, fetch=fetch, mirror=archive.mirror)


def test_a_package_is_taken_from_the_archive_that_has_it(archive, fetch):
    deb = LockedDeb("a", "1", "amd64", "pool/main/a_1_amd64.deb", Digest.of(b"a"), 1)
    path = Path(f"{archive.folder}-security") / deb.filename
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a")
    assert debian.download(deb, fetch=fetch, mirror=archive.mirror).read_bytes() == b"a"


def test_a_base_without_python_has_no_interpreter():
    with pytest.raises(LockError, match="no Python"):
        debian.interpreter(LockedBase("debian:bookworm", "bookworm", (), Libc("glibc", 2, 36)))


@pytest.mark.network
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
@pytest.mark.parametrize(("suite", "python"), [(name, suite.python) for name, suite in SUITES.items()])
def test_the_real_suites_resolve_to_a_small_base(suite, python, architecture, tmp_path):
    try:
        mirror = find_mirror()
    except LockError as error:
        pytest.skip(f"{error}")
    with HttpFetch(tmp_path, proxies=mirror.proxies, credentials=mirror.credentials) as fetch:
        base = debian.resolve(suite, architecture, fetch=fetch, mirror=mirror, cache=tmp_path)
        begin = time.perf_counter()
        again = debian.resolve(suite, architecture, fetch=fetch, mirror=mirror, cache=tmp_path)
    assert again == base
    assert time.perf_counter() - begin < 5
    assert debian.interpreter(base).minor == python
    assert len(base.packages) <= 35
    assert sum(deb.size_bytes for deb in base.packages) < 18e6
