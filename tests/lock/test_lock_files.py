from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.core.descriptor import MANIFEST, Descriptor
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LockError
from lading.core.lock import (
    Dropped,
    Interpreter,
    Lock,
    LockedArchive,
    LockedBase,
    LockedConda,
    LockedDeb,
    LockedSource,
    LockedWheel,
    PlatformLock,
    Trial,
)
from lading.core.model import Requirement
from lading.core.platform import Libc, Platform
from lading.lock import is_fresh, read, sealed, write

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")

# any text but lone surrogates, which no file can hold
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
digests = st.binary(min_size=1, max_size=8).map(Digest.of)
sizes = st.integers(0, 1 << 40)
wheels = st.builds(
    LockedWheel,
    names,
    st.sampled_from(["1.0", "2.4.6", "1!3.0rc1+cpu"]),
    names.map("{}-1.0-py3-none-any.whl".format),
    texts.map("https://example.org/{}.whl".format),
    digests,
    sizes,
)
sources = st.builds(LockedSource, digests, sizes, st.lists(wheels, max_size=2).map(tuple))
built = st.builds(lambda wheel, source: dataclasses.replace(wheel, source=source), wheels, sources)
debs = st.builds(LockedDeb, names, texts, st.sampled_from(["amd64", "all"]), texts, digests, sizes)
libcs = st.builds(Libc, st.sampled_from(["glibc", "musl"]), st.integers(1, 2), st.integers(0, 99))
images = st.builds(Descriptor, st.just(MANIFEST), digests, sizes)
bases = st.builds(
    LockedBase, texts, st.none() | texts, st.lists(debs, max_size=3).map(tuple), libcs, st.none() | images
)
distributions = st.lists(texts, max_size=2).map(tuple)
condas = st.builds(LockedConda, names, texts, texts, texts, digests, sizes, distributions)
archives = st.builds(LockedArchive, names, st.just("3.11.2"), texts, texts, digests, sizes)
interpreters = st.builds(Interpreter, texts, st.just("3.11.2"), st.none() | archives)
origins = st.sampled_from(["pickle", "mlflow", "spec", "installed"])
requirements = st.builds(Requirement, texts, origins, st.none() | texts)
dropped = st.builds(Dropped, names, texts, sizes, texts)
several = st.lists(names, max_size=2).map(tuple)
trials = st.builds(Trial, several, several)


@st.composite
def locks(draw):
    some = st.lists(wheels | built, max_size=3).map(tuple)
    parts = [
        PlatformLock(
            platform,
            draw(bases),
            draw(interpreters),
            draw(some),
            draw(some),
            draw(st.none() | interpreters),
            draw(st.lists(condas, max_size=2).map(tuple)),
            draw(st.lists(dropped, max_size=2).map(tuple)),
        )
        for platform in draw(st.sampled_from([(AMD64,), (ARM64, AMD64)]))
    ]
    listed = tuple(draw(st.lists(requirements, max_size=3)))
    return Lock(draw(digests), draw(texts), listed, tuple(parts), trial=draw(st.none() | trials))


def tiny(*platforms: Platform, wheel_count: int = 1, deb_count: int = 1) -> Lock:
    some = tuple(
        LockedWheel(
            f"lib{n}", "1.0", f"lib{n}-1.0-py3-none-any.whl", f"https://h/lib{n}.whl", Digest.of(b"w"), 7
        )
        for n in range(wheel_count)
    )
    packages = tuple(
        LockedDeb(f"libc{n}", "2.36-9+deb12u13", "amd64", f"pool/main/c/libc{n}.deb", Digest.of(b"d"), 9)
        for n in range(deb_count)
    )
    base = LockedBase("debian:bookworm", "bookworm", packages, Libc("glibc", 2, 36))
    interpreter = Interpreter("/usr/bin/python3.11", "3.11.2")
    parts = tuple(PlatformLock(one, base, interpreter, some, some) for one in platforms or (AMD64,))
    return Lock(Digest.of(b"question"), "lading", (Requirement("lib0>=1", "spec"),), parts)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(lock=locks())
def test_what_is_read_is_what_was_written(lock, tmp_path):
    write(lock, tmp_path)
    assert read(tmp_path) == lock


@given(lock=locks())
def test_what_travels_in_a_package_is_what_was_sealed(lock):
    for part in lock.platforms:
        assert sealed.parse(sealed.encode(part)) == part


def test_a_sealed_lock_does_not_tell_where_local_files_lay():
    part = tiny().platforms[0]
    local = dataclasses.replace(part.model[0], url="file:///home/me/wheels/lib0-1.0-py3-none-any.whl")
    source = LockedSource(Digest.of(b"s"), 3, (local,))
    built = dataclasses.replace(local, name="built", source=source)
    data = sealed.encode(dataclasses.replace(part, model=(local, built)))
    assert b"/home" not in data
    urls = [one.url for one in sealed.parse(data).model]
    assert urls == ["file:lib0-1.0-py3-none-any.whl"] * 2


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema": "application/vnd.lading.lock.v1+json"}'])
def test_what_is_no_sealed_lock_is_refused(data):
    with pytest.raises(IntegrityError):
        sealed.parse(data)


def test_the_files_of_two_platforms_are_named_as_pep_751_wants(tmp_path):
    from packaging.pylock import is_valid_pylock_path

    paths = write(tiny(AMD64, ARM64), tmp_path)
    assert sorted(path.name for path in paths) == [
        "lading.lock",
        "pylock.linux-arm64.toml",
        "pylock.server-linux-arm64.toml",
        "pylock.server.toml",
        "pylock.toml",
    ]
    assert all(is_valid_pylock_path(path) for path in paths if path.name.startswith("pylock"))


def test_the_pylocks_are_valid_and_hold_one_wheel_per_package(tmp_path):
    from packaging.pylock import Pylock

    write(tiny(wheel_count=3), tmp_path)
    for name in ("pylock.toml", "pylock.server.toml"):
        pylock = Pylock.from_dict(tomllib.loads((tmp_path / name).read_text()))
        assert [len(package.wheels) for package in pylock.packages] == [1, 1, 1]
        assert all(package.wheels[0].size == 7 for package in pylock.packages)


def test_writing_twice_gives_the_same_bytes(tmp_path):
    first = {path.name: path.read_bytes() for path in write(tiny(AMD64, ARM64), tmp_path)}
    second = {path.name: path.read_bytes() for path in write(tiny(AMD64, ARM64), tmp_path)}
    assert first == second


def test_files_of_a_former_lock_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "pylock.mine.toml").write_text("")
    write(tiny(AMD64, ARM64), tmp_path)
    write(tiny(AMD64), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lading.lock",
        "pylock.mine.toml",
        "pylock.server.toml",
        "pylock.toml",
    ]


def test_a_pylock_of_another_maker_is_left_alone(tmp_path):
    theirs = 'lock-version = "1.0"\ncreated-by = "uv"\npackages = []\n'
    (tmp_path / "pylock.toml").write_text(theirs)
    lock = tiny()
    write(lock, tmp_path)
    write(lock, tmp_path)
    assert (tmp_path / "pylock.toml").read_text() == theirs
    assert (tmp_path / "pylock.model.toml").is_file()
    assert read(tmp_path) == lock


@pytest.mark.parametrize("name", ["lading.lock", "pylock.toml", "pylock.server.toml"])
def test_a_changed_digest_anywhere_is_noticed(tmp_path, name):
    lock = tiny()
    write(lock, tmp_path)
    path = tmp_path / name
    text = path.read_text()
    place = text.index("sha256") + len("sha256:'") + 12
    path.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    try:
        assert read(tmp_path) != lock
    except LockError:
        return
    # lading.lock itself is not vouched for by anything: a change of it is another lock
    assert name == "lading.lock"


@pytest.mark.parametrize("name", ["lading.lock", "pylock.toml", "pylock.server.toml"])
def test_a_missing_file_is_named(tmp_path, name):
    write(tiny(), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(LockError, match=name):
        read(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("format = 2", "format = 3"),
        ("format = 2", ""),
        ('spec = "sha256', 'spec = "md5'),
        ('origin = "spec"', 'origin = "rumour"'),
        ('platform = "linux/amd64"', 'platform = "windows"'),
        ('platform = "linux/amd64"', "platform = 3"),
        ('file = "pylock.toml"', 'file = "../pylock.toml"'),
        ('file = "pylock.toml"', 'file = "/etc/pylock.toml"'),
        ("size = 9", "size = -9"),
        ("size = 9", 'size = "9"'),
        ("[platforms.model]", "[platforms.models]"),
        ("[platforms.model]", "[[platforms.model]]"),
        ("[[platforms]]", "[platforms]"),
        ("[[platforms]]", "[[platforms"),
    ],
)
def test_a_malformed_lock_is_a_lock_error_that_says_what_to_do(tmp_path, old, new):
    write(tiny(), tmp_path)
    path = tmp_path / "lading.lock"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(LockError) as caught:
        read(tmp_path)
    assert "lading.lock" in caught.value.issues[0].where


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200))
def test_rubbish_is_a_lock_error(data, tmp_path):
    write(tiny(), tmp_path)
    (tmp_path / "lading.lock").write_bytes(data)
    with pytest.raises(LockError):
        read(tmp_path)


def test_a_lock_is_fresh_for_its_own_question_alone(ask):
    question = ask("lib")
    lock = dataclasses.replace(tiny(), spec_digest=question.digest)
    assert is_fresh(lock, question)
    assert not is_fresh(lock, ask("lib>=2"))


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="absent"):
        write(tiny(), tmp_path / "absent")


def test_no_partial_file_is_left(tmp_path, monkeypatch):
    def fail(self, target):
        raise OSError(28, "no space left on device", str(target))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write(tiny(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_reading_needs_no_heavy_library(tmp_path):
    write(tiny(AMD64, wheel_count=80, deb_count=45), tmp_path)
    code = (
        "import sys; from pathlib import Path; from lading.lock import read; read(Path(sys.argv[1]));"
        "print([one for one in ('packaging', 'yaml', 'uv', 'httpx2', 'tomli_w') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_built_from_source_is_a_source_distribution_to_others(tmp_path):
    from packaging.pylock import Pylock

    url = "https://h/own%2D1.0.tar.gz"
    needed = LockedWheel("tool", "2", "tool-2-py3-none-any.whl", "https://h/tool.whl", Digest.of(b"t"), 4)
    source = LockedSource(Digest.of(b"s"), 3, (needed,))
    wheel = LockedWheel("own", "1.0", "own-1.0-py3-none-any.whl", url, Digest.of(b"w"), 7, source)
    lock = tiny(wheel_count=0)
    part = dataclasses.replace(lock.platforms[0], model=(wheel,))
    write(dataclasses.replace(lock, platforms=(part,)), tmp_path)
    (package,) = Pylock.from_dict(tomllib.loads((tmp_path / "pylock.toml").read_text())).packages
    assert (package.sdist.name, package.sdist.url, package.sdist.size) == ("own-1.0.tar.gz", url, 3)
    assert package.sdist.hashes == {"sha256": Digest.of(b"s").hex}
    assert not package.wheels


@given(lock=locks())
def test_what_travels_in_a_package_is_the_lock_without_folders_of_this_machine(lock):
    for part in lock.platforms:
        moved = dataclasses.replace(
            part,
            conda=tuple(dataclasses.replace(one, url="file:///home/me/x-1-0.conda") for one in part.conda),
        )
        data = sealed.encode(moved)
        assert b"/home/me" not in data
        assert sealed.encode(sealed.parse(data)) == data
        assert [one.filename for one in sealed.parse(data).conda] == ["x-1-0.conda"] * len(part.conda)
