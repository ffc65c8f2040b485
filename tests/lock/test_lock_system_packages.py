"""System packages on a base that has some already: what is missing is added, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debs import Archive, stanza
from lading.core.errors import LockError
from lading.fetch import HttpFetch
from lading.lock import system_packages
from lading.lock.debian_mirror import find_mirror
from lading.lock.debian_packages import Packages
from lading.lock.distribution import DEBIAN, UBUNTU

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u7
Description: GNU C Library
 a line that goes on: and on

Package: libssl3
Status: install ok installed
Architecture: amd64
Version: 3.0.11-1
Depends: libc6

Package: mawk
Status: install ok installed
Architecture: amd64
Version: 1.3.4
Provides: awk

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: foreign
Status: install ok installed
Architecture: i386
Version: 1
"""


def added(stanzas, *names, status=STATUS):
    packages = Packages(["\n".join(stanzas).encode()])
    debs = system_packages.complete(packages, system_packages.read(status, "amd64"), names)
    return [(one.name, one.version) for one in debs]


def refused(stanzas, *names):
    with pytest.raises(LockError) as raised:
        added(stanzas, *names)
    return str(raised.value)


def test_what_dpkg_calls_installed_is_there_and_nothing_else():
    present = system_packages.read(STATUS, "amd64")
    assert sorted(present) == ["libc6", "libssl3", "mawk"]


def test_a_record_without_states_as_distroless_images_have_it_is_read():
    assert set(
        system_packages.read("Package: tzdata\nVersion: 1\n\n\nPackage: b\nVersion: 2\n", "arm64")
    ) == {
        "tzdata",
        "b",
    }


def test_what_names_no_package_is_told_of_at_once_with_what_to_write_instead():
    with pytest.raises(LockError) as raised:
        added(
            [stanza("libgomp1"), stanza("ffmpeg")],
            *("libgomp1=12.2.0", "ffmpeg:arm64", "ffmpeg/stable", "FFmpeg", "qqq", "ffmpeg (>= 5)"),
        )
    assert {issue.what.partition("package ")[2]: issue.fix for issue in raised.value.issues} == {
        "'libgomp1=12.2.0'": "name 'libgomp1' alone: the lock pins its version",
        "'ffmpeg:arm64'": "name 'ffmpeg' alone: every platform gets that of its architecture",
        "'ffmpeg/stable'": "name 'ffmpeg' alone",
        "'FFmpeg'": "did you mean 'ffmpeg'?",
        "'qqq'": None,
        "'ffmpeg (>= 5)'": "name 'ffmpeg' alone",
    }
    assert {issue.where for issue in raised.value.issues} == {"system_packages"}


def test_only_what_is_missing_is_added():
    archive = [
        stanza("ffmpeg", depends="libc6 (>= 2.30), awk, libav (>= 1)"),
        stanza("libav", depends="libc6"),
        stanza("libc6", "2.36-9+deb12u10"),
    ]
    assert added(archive, "ffmpeg", "libssl3") == [("ffmpeg", "1"), ("libav", "1")]


def test_an_alternative_that_is_there_is_enough():
    archive = [stanza("app", depends="gawk | awk"), stanza("gawk")]
    assert added(archive, "app") == [("app", "1")]


def test_an_older_version_that_fits_the_base_is_taken():
    archive = [
        stanza("openssl", "3.0.15-1", "libssl3 (>= 3.0.15)"),
        stanza("openssl", "3.0.11-1", "libssl3 (>= 3.0.11)"),
    ]
    assert added(archive, "openssl") == [("openssl", "3.0.11-1")]


def test_what_would_have_to_be_upgraded_is_named_with_who_needs_it():
    said = refused([stanza("libc6-dev", "2.36-9+deb12u10", "libc6 (= 2.36-9+deb12u10)")], "libc6-dev")
    assert "'libc6-dev'" in said
    assert "libc6 (= 2.36-9+deb12u10)" in said
    assert "the base has libc6 2.36-9+deb12u7" in said
    assert "newer image" in said


def test_a_conflict_with_the_base_names_both_whoever_declares_it():
    assert "conflicts with mawk 1.3.4" in refused([stanza("busybox", Conflicts="awk")], "busybox")
    assert "conflicts with mawk 1.3.4" in refused([stanza("busybox", Breaks="mawk (<< 2)")], "busybox")
    assert added([stanza("busybox", Breaks="mawk (<< 1)")], "busybox") == [("busybox", "1")]
    breaking = STATUS.replace("Provides: awk", "Breaks: new (<< 2)")
    with pytest.raises(LockError, match=r"conflicts with mawk 1\.3\.4"):
        added([stanza("new")], "new", status=breaking)


def test_an_alternative_without_a_conflict_comes_before_one_with():
    archive = [stanza("app", depends="bad | good"), stanza("bad", Conflicts="libssl3"), stanza("good")]
    assert added(archive, "app") == [("app", "1"), ("good", "1")]


def test_an_unknown_package_is_named_with_one_that_is_near():
    assert "did you mean 'libgomp1'" in refused([stanza("libgomp1")], "libgomp")


def test_every_trouble_is_told_at_once():
    said = refused([stanza("a", Conflicts="mawk"), stanza("b", depends="nowhere")], "a", "b", "c")
    assert "'a'" in said
    assert "nowhere" in said
    assert "'c'" in said


NAMES = st.sampled_from([f"p{number}" for number in range(8)])


@given(st.dictionaries(NAMES, st.sets(NAMES)), st.sets(NAMES), st.sets(NAMES))
def test_what_is_added_is_closed_and_disjoint_from_the_base(needs, there, asked):
    """Law: with what is added every need is met, and what was there is not added again."""
    archive = [
        stanza(f"p{number}", depends=", ".join(sorted(needs.get(f"p{number}", ())))) for number in range(8)
    ]
    status = "\n".join(f"Package: {name}\nVersion: 1\nArchitecture: all\n" for name in sorted(there))
    found = {name for name, _ in added(archive, *sorted(asked), status=status)}
    assert not found & there
    assert asked <= found | there
    assert all(needs.get(name, set()) <= found | there for name in found)


@pytest.fixture
def archive(tmp_path):
    return Archive(tmp_path / "ubuntu")


@pytest.fixture
def fetch(tmp_path):
    with HttpFetch(tmp_path / "cache", attempts=1) as one:
        yield one


def test_ubuntu_has_its_packages_in_two_components_and_its_updates_in_one_place(archive, fetch, tmp_path):
    archive.publish("noble", {"main": [stanza("libgomp1")], "universe": [stanza("ffmpeg", depends="libav")]})
    archive.publish("noble-security", {"universe": [stanza("libav", "2")]})

    def add():
        return system_packages.add(
            STATUS,
            "noble",
            "amd64",
            ["ffmpeg", "libgomp1", "mawk"],
            fetch=fetch,
            mirror=archive.mirror,
            cache=tmp_path / "answers",
        )

    names = [(one.name, one.version) for one in add()]
    assert names == [("ffmpeg", "1"), ("libav", "2"), ("libgomp1", "1")]
    assert add() == add()


def test_a_pocket_of_ubuntus_is_not_taken_for_the_suite_whose_codename_it_has(archive, fetch):
    for name in ("InRelease", "main/binary-amd64/Packages.xz"):
        old = archive.folder / "dists/noble-updates" / name
        (archive.folder / "dists/noble" / name).write_bytes(old.read_bytes())
    with pytest.raises(Exception, match="expected 'noble'"):
        system_packages.add(STATUS, "noble", "amd64", ["x"], fetch=fetch, mirror=archive.mirror)


def test_an_architecture_of_the_ports_is_asked_of_its_mirror(archive, fetch):
    with pytest.raises(LockError, match="LADING_UBUNTU_PORTS_MIRROR"):
        system_packages.add("", "noble", "arm64", ["x"], fetch=fetch, mirror=archive.mirror)
    environ = {"LADING_UBUNTU_MIRROR": "http://a.example/ubuntu"}
    assert find_mirror(distribution=UBUNTU, environ=environ, acquire={}).main == "http://a.example/ubuntu"
    environ["LADING_UBUNTU_PORTS_MIRROR"] = "http://a.example/ports/"
    ports = find_mirror(distribution=UBUNTU, architecture="arm64", environ=environ, acquire={})
    assert (ports.main, ports.security) == ("http://a.example/ports", "http://a.example/ports")


def test_debians_keys_do_not_vouch_for_ubuntu(archive):
    assert DEBIAN.keys.read_bytes() != UBUNTU.keys.read_bytes()
    assert archive.mirror.distribution.keys == UBUNTU.keys


def test_apts_sources_of_ubuntu_are_read(tmp_path):
    (tmp_path / "sources.list").write_text(
        "deb [signed-by=/usr/share/keyrings/ubuntu-archive-keyring.gpg] http://a.example/ubuntu noble main\n"
        "deb http://s.example/ubuntu noble-security main\n"
        "deb http://d.example/debian bookworm main\n"
    )
    mirror = find_mirror(distribution=UBUNTU, environ={}, apt=tmp_path, acquire={})
    assert (mirror.main, mirror.security) == ("http://a.example/ubuntu", "http://s.example/ubuntu")
    with pytest.raises(LockError, match="LADING_UBUNTU_MIRROR"):
        find_mirror(distribution=UBUNTU, environ={}, apt=tmp_path / "nowhere", acquire={})


def test_a_mirror_that_signs_with_its_own_key_is_trusted_by_name_alone(archive, fetch, tmp_path):
    uri = archive.folder.as_uri()
    environ = {"LADING_UBUNTU_MIRROR": uri}

    def add():
        mirror = find_mirror(distribution=UBUNTU, environ=environ, apt=tmp_path / "nowhere", acquire={})
        return system_packages.add("", "noble", "amd64", ["libgomp1"], fetch=fetch, mirror=mirror)

    archive.publish("noble", {"main": [stanza("libgomp1")]})
    with pytest.raises(LockError, match="LADING_UBUNTU_KEYRING"):
        add()
    environ["LADING_UBUNTU_KEYRING"] = str(archive.keyring)
    assert [one.name for one in add()] == ["libgomp1"]
