from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, LockError
from lading.core.platform import Platform
from lading.lock import BuildingFetch, build_in, resolve, write
from lading.lock.build import _write_compilers
from lading.lock.builder import _checked
from lading.lock.sdist import BuildSystem
from lading.lock.sdist import read as read_sdist

BACKEND = """
import os, zipfile
from tinyformat import VERSION

def build_wheel(folder, settings=None, metadata=None):
    name = f"srclib-{VERSION}-py3-none-any.whl"
    info = f"srclib-{VERSION}.dist-info/"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        metadata = f"Metadata-Version: 2.1\\nName: srclib\\nVersion: {VERSION}\\nRequires-Dist: lib\\n"
        add = lambda name, text: archive.writestr(zipfile.ZipInfo(info + name), text)
        add("METADATA", metadata)
        add("WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        add("RECORD", "")
    return name
"""
PROJECT = '[build-system]\nrequires = ["tinyformat"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
OWN = Platform.current()


class HostSandbox:
    """A sandbox only in name: a subprocess whose /src, /requirements and /tmp are host folders."""

    name = "host"
    emulated = False

    def __init__(self):
        self.started = []

    def start(self, argv, *, env, tmp, network=False, mounts=None):
        places = {**{path: str(host) for path, host in (mounts or {}).items()}, "/tmp": str(tmp)}

        def translate(text):
            for path, host in places.items():
                if text == path or text.startswith(f"{path}/"):
                    return host + text.removeprefix(path)
            return text

        assert not network
        command = [sys.executable, *map(translate, argv[1:])]
        if not json.loads(argv[3])["asks"]:
            self.started.append(argv)
        self.readable = all(
            path.stat().st_mode & 0o004 and path.parent.stat().st_mode & 0o001
            for host in (mounts or {}).values()
            for path in Path(host).rglob("*")
        )
        environ = {**os.environ, **{key: translate(value) for key, value in env.items()}}
        return HostProcess(subprocess.run(command, env=environ, capture_output=True, text=True, check=False))


class HostProcess:
    def __init__(self, done):
        self.done = done

    def wait(self, timeout_s=None):
        del timeout_s
        return self.done.returncode

    def stop(self, timeout_s=10.0):
        del timeout_s
        return self.done.returncode

    def output(self):
        return self.done.stdout + self.done.stderr


@pytest.fixture
def sandbox():
    return HostSandbox()


@pytest.fixture
def resolve_with(offline_environ, fetch, resolve_base, bring_python):
    def run(build, question):
        return resolve(
            question,
            fetch=fetch,
            resolve_base=resolve_base,
            bring_python=bring_python,
            environ=offline_environ,
            build=build,
        )

    return run


@pytest.fixture
def lock_of(resolve_with, sandbox, tmp_path):
    def run(question):
        return resolve_with(lambda job: build_in(sandbox, job, tmp_path / "wheelhouse"), question)

    return run


@pytest.fixture
def format_wheel(smith):
    """What the build imports: a wheel with one module."""
    path = smith.wheel("tinyformat", "1.0")
    with zipfile.ZipFile(path) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    files["tinyformat.py"] = b'VERSION = "1.0"\n'
    record = "tinyformat-1.0.dist-info/RECORD"
    files[record] = b"".join(f"{name},,\n".encode() for name in files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return path


@pytest.fixture
def srclib(smith, format_wheel, ask):
    """A question of one package that has only its source."""
    smith.wheel("lib", "1.0")
    smith.sdist("srclib", "1.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    return ask("srclib", platforms=(OWN,))


def test_a_package_with_only_its_source_is_built_and_its_dependencies_are_found(
    smith, format_wheel, ask, lock_of, tmp_path
):
    smith.wheel("lib", "1.0")
    smith.wheel("app", "1.0", "srclib<2")
    smith.sdist("srclib", "1.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    smith.sdist("srclib", "2.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    (part,) = lock_of(ask("app", platforms=(OWN,))).platforms
    assert [f"{one.name} {one.version}" for one in part.model] == ["app 1.0", "lib 1.0", "srclib 1.0"]
    built = part.model[2]
    (kept,) = (tmp_path / "wheelhouse").glob("*/*.whl")
    assert (built.filename, built.digest) == (kept.name, Digest.of(kept.read_bytes()))


def test_what_is_locked_of_a_built_wheel_is_its_source_and_no_place_of_this_machine(
    smith, format_wheel, ask, lock_of, tmp_path
):
    smith.wheel("lib", "1.0")
    archive = smith.sdist("srclib", "1.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    lock = lock_of(ask("srclib", platforms=(OWN,)))
    built = lock.platforms[0].model[1]
    assert built.url == archive.as_uri()
    assert built.source.digest == Digest.of(archive.read_bytes())
    assert built.source.size_bytes == archive.stat().st_size
    (needed,) = built.source.requirements
    assert (needed.name, needed.digest) == ("tinyformat", Digest.of(format_wheel.read_bytes()))
    for path in write(lock, tmp_path):
        assert "wheelhouse" not in path.read_text()


@pytest.fixture
def bring(sandbox, fetch, offline_environ):
    """Bring the built wheel of a lock, out of a wheelhouse or into it."""

    def run(lock, wheelhouse):
        (part,) = lock.platforms
        build = partial(build_in, sandbox, wheelhouse=wheelhouse)
        building = BuildingFetch(part, fetch, build, wheelhouse, offline_environ)
        wheel = next(one for one in part.model if one.source)
        return building.file(wheel.url, wheel.digest, wheel.size_bytes)

    return run


def test_a_built_wheel_that_is_gone_is_built_again(srclib, lock_of, bring, sandbox, tmp_path):
    lock = lock_of(srclib)
    path = bring(lock, tmp_path / "another")
    assert path.is_relative_to(tmp_path / "another")
    assert Digest.of(path.read_bytes()) == lock.platforms[0].model[1].digest
    assert len(sandbox.started) == 2


def test_a_built_wheel_that_is_here_is_not_built_again(srclib, lock_of, bring, sandbox, tmp_path):
    lock = lock_of(srclib)
    assert bring(lock, tmp_path / "wheelhouse").is_relative_to(tmp_path / "wheelhouse")
    assert len(sandbox.started) == 1


def test_a_build_that_makes_other_bytes_than_the_locked_is_refused(srclib, lock_of, bring, tmp_path):
    lock = lock_of(srclib)
    (part,) = lock.platforms
    model = tuple(replace(one, digest=Digest.of(b"x")) if one.source else one for one in part.model)
    other = replace(lock, platforms=(replace(part, model=model),))
    with pytest.raises(LockError, match="package 'srclib': its build from source made sha256:") as caught:
        bring(other, tmp_path / "another")
    assert caught.value.issues[0].fix.startswith("lock again")


def test_a_wheel_is_not_built_for_another_platform_than_this_machines(srclib, lock_of, bring, tmp_path):
    lock = lock_of(srclib)
    there = Platform.parse("linux/arm64" if OWN.architecture == "amd64" else "linux/amd64")
    with pytest.raises(LockError, match=f"it is built from source, for {there}"):
        bring(replace(lock, platforms=(replace(lock.platforms[0], platform=there),)), tmp_path / "another")


def test_what_is_no_built_wheel_is_fetched(fetch, lock_of, srclib, serve, tmp_path):
    (part,) = lock_of(srclib).platforms
    index = serve()
    path = index.folder / "lib-1.0-py3-none-any.whl"
    building = BuildingFetch(part, fetch, None, tmp_path, {})
    url, data = f"http://{index.host}/files/{path.name}", path.read_bytes()
    assert building.file(url, Digest.of(data)).read_bytes() == data
    assert building.text(url) == data
    assert building.size_bytes(url) == len(data)


def test_a_wheel_that_was_built_once_is_not_built_again(smith, format_wheel, ask, lock_of, sandbox):
    smith.wheel("lib", "1.0")
    smith.sdist("srclib", "1.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    question = ask("srclib", platforms=(OWN,))
    assert lock_of(question) == lock_of(question)
    assert len(sandbox.started) == 1


@pytest.mark.parametrize("changed", ["base", "interpreter"])
def test_a_wheel_is_built_again_in_another_base_or_by_another_python(
    changed, srclib, *, sandbox, fetch, resolve_base, bring_python, offline_environ, tmp_path
):
    def newer(reference, platform):
        facts = resolve_base(reference, platform)
        if changed == "interpreter":
            return replace(facts, interpreters=(replace(facts.interpreters[0], path="/usr/bin/python3"),))
        packages = (replace(facts.base.packages[0], digest=Digest.of(b"newer")),)
        return replace(facts, base=replace(facts.base, packages=packages))

    build = partial(build_in, sandbox, wheelhouse=tmp_path / "wheelhouse")
    for pin in (resolve_base, newer):
        resolve(
            srclib,
            fetch=fetch,
            resolve_base=pin,
            bring_python=bring_python,
            environ=offline_environ,
            build=build,
        )
    assert len(sandbox.started) == 2


def test_another_user_can_read_what_is_built_whatever_the_umask_is(srclib, lock_of, sandbox):
    before = os.umask(0o077)
    try:
        lock_of(srclib)
    finally:
        os.umask(before)
    assert sandbox.readable


def test_nothing_of_a_source_distribution_runs_outside_the_sandbox(smith, ask, resolve_with, tmp_path):
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w').close()\n"
    files = {"setup.py": trap, "backend.py": trap, "pyproject.toml": PROJECT.replace('"tinyformat"', "")}
    smith.sdist("srclib", "1.0", files)

    def look(job):
        assert job.needs.system.backend == "backend"
        raise LockError

    with pytest.raises(LockError):
        resolve_with(look, ask("srclib", platforms=(OWN,)))
    assert not (tmp_path / "sprung").exists()


def test_a_build_that_fails_shows_its_last_words(smith, ask, lock_of):
    project = PROJECT.replace('"tinyformat"', "")
    broken = "raise SystemExit('no compiler here')\n"
    smith.sdist("srclib", "1.0", {"pyproject.toml": project, "backend.py": broken})
    with pytest.raises(LockError) as caught:
        lock_of(ask("srclib", platforms=(OWN,)))
    assert "no compiler here" in str(caught.value)
    assert "find_links" in caught.value.issues[0].fix


def test_what_the_backend_asks_for_besides_is_there_and_locked(
    smith, format_wheel, ask, *, lock_of, bring, tmp_path
):
    smith.wheel("lib", "1.0")
    more = "import os\n\ndef get_requires_for_build_wheel(settings=None):\n    return ['tinyformat']\n"
    backend = more + BACKEND.replace("from tinyformat import VERSION", "VERSION = '1.0'").replace(
        "name =", "import tinyformat\n    name ="
    )
    project = PROJECT.replace('"tinyformat"', "")
    smith.sdist("srclib", "1.0", {"pyproject.toml": project, "backend.py": backend})
    lock = lock_of(ask("srclib", platforms=(OWN,)))
    assert [one.name for one in lock.platforms[0].model[1].source.requirements] == ["tinyformat"]
    assert bring(lock, tmp_path / "another").is_file()


@pytest.mark.parametrize("answer", ["3", "[3]", "{}"])
def test_what_a_backend_asks_for_in_another_form_is_refused(answer, smith, ask, lock_of):
    backend = f"def get_requires_for_build_wheel(settings):\n    return {answer}\n"
    files = {"pyproject.toml": PROJECT.replace('"tinyformat"', ""), "backend.py": backend}
    smith.sdist("srclib", "1.0", files)
    with pytest.raises(LockError, match="expected requirements"):
        lock_of(ask("srclib", platforms=(OWN,)))


def test_what_a_build_lacked_is_told_before_its_last_lines(smith, ask, lock_of):
    project = PROJECT.replace('"tinyformat"', "")
    said = [*map(str, range(100)), "x.c:4:10: fatal error: foo.h: No such file or directory"]
    broken = f"raise SystemExit({chr(10).join(said)!r})\n"
    smith.sdist("srclib", "1.0", {"pyproject.toml": project, "backend.py": broken})
    with pytest.raises(LockError) as caught:
        lock_of(ask("srclib", platforms=(OWN,)))
    first, last = caught.value.issues
    assert first.what == "the build of 1.0 lacks the header 'foo.h'"
    assert "system_packages" in first.fix
    assert [line.strip() for line in last.what.splitlines()] == said[-15:]


def test_a_build_that_makes_another_version_is_refused(smith, format_wheel, ask, lock_of):
    smith.wheel("lib", "1.0")
    smith.sdist("srclib", "7.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    with pytest.raises(LockError, match=r"made srclib-1\.0-py3-none-any\.whl, expected srclib 7\.0"):
        lock_of(ask("srclib", platforms=(OWN,)))


def test_build_requirements_that_cannot_be_had_are_named(smith, ask, lock_of):
    smith.sdist("srclib", "1.0", {"pyproject.toml": PROJECT, "backend.py": BACKEND})
    with pytest.raises(LockError, match="its build needs 'tinyformat'"):
        lock_of(ask("srclib", platforms=(OWN,)))


def test_a_changed_source_distribution_is_refused(smith):
    path = smith.sdist("srclib", "1.0", {})
    with pytest.raises(IntegrityError):
        _checked(path, Digest.of(b"another"))


def test_without_a_pyproject_setuptools_builds(smith):
    path = smith.sdist("srclib", "1.0", {"setup.py": ""})
    assert read_sdist(path).system == BuildSystem(
        ("setuptools>=40.8.0", "wheel"), "setuptools.build_meta:__legacy__", ()
    )


def test_the_build_system_is_read_from_the_archives_own_folder_alone(smith):
    inner = '[build-system]\nrequires = ["evil"]\n'
    path = smith.sdist("srclib", "1.0", {"sub/pyproject.toml": inner, "pyproject.toml": PROJECT})
    assert read_sdist(path).system == BuildSystem(("tinyformat",), "backend", (".",))


def test_a_zipped_source_distribution_is_read(tmp_path):
    path = tmp_path / "srclib-1.0.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("srclib-1.0/pyproject.toml", PROJECT)
    assert read_sdist(path).system.requires == ("tinyformat",)


def test_an_archive_of_absurd_size_is_refused(tmp_path):
    path = tmp_path / "srclib-1.0.tar"
    with path.open("wb") as stream:
        member = tarfile.TarInfo("srclib-1.0/huge")
        member.size = 5 << 30
        stream.write(member.tobuf())
    with pytest.raises(LockError, match="absurd size"):
        read_sdist(path)


@pytest.mark.parametrize("data", [b"", b"not an archive", b"\x1f\x8b\x08broken"])
def test_what_is_no_archive_is_a_lock_error(tmp_path, data):
    path = tmp_path / "srclib-1.0.tar.gz"
    path.write_bytes(data)
    with pytest.raises(LockError, match="not a source distribution"):
        read_sdist(path)


@pytest.mark.parametrize("table", ['requires = "x"', "requires = [1]", "requires = []\nbuild-backend = 3"])
def test_a_malformed_build_system_is_refused(smith, table):
    path = smith.sdist("srclib", "1.0", {"pyproject.toml": f"[build-system]\n{table}\n"})
    with pytest.raises(LockError, match="PEP 518"):
        read_sdist(path)


@pytest.mark.parametrize(("name", "compiled"), [("src/x.pyx", True), ("x.cpp", True), ("x.py", False)])
def test_source_code_for_a_compiler_is_seen(smith, name, compiled):
    assert read_sdist(smith.sdist("srclib", "1.0", {name: ""})).compiled == compiled


def test_the_compilers_names_leave_out_what_binds_a_wheel_to_this_machine(tmp_path):
    _write_compilers(tmp_path / "bin", "x86_64")
    script = (tmp_path / "bin" / "x86_64-linux-gnu-g++").read_text()
    assert "exec /usr/bin/g++" in script
    (tmp_path / "echo").write_text(script.replace("exec /usr/bin/g++", "printf '%s,'"))
    argv = ["sh", tmp_path / "echo", "-O2", "-march=native", "-DX=a b", "-mtune=native", "x.c"]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout == "-O2,-DX=a b,x.c,-g0,"
