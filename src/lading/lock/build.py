"""A package that has only its source → a wheel, built in a sandbox without network.

Nothing of a source distribution runs outside the sandbox: its build requirements are read from the archive's
pyproject.toml (PEP 518), resolved as wheels, unpacked beside it, and its build hook (PEP 517) runs inside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError
from lading.core.lock import Interpreter, LockedBase
from lading.core.ports import Fetch, Sandbox
from lading.lock import credentials, toml, wheels
from lading.lock.python import Demand, Target, Uv, last_lines
from lading.lock.wheels import Found

_LIMIT_BYTES = 1 << 20
_MOST_MEMBERS = 100_000
_MOST_BYTES = 4 << 30
_TIMEOUT_S = 1800.0
_LAST_CHARACTERS = 2000
_HOOK = Path(__file__).with_name("hook.py")


class BuildSystem(NamedTuple):
    """What pyproject.toml says of the build (PEP 518)."""

    requires: tuple[str, ...]
    backend: str
    path: tuple[str, ...]


_LEGACY = BuildSystem(("setuptools>=40.8.0", "wheel"), "setuptools.build_meta:__legacy__", ())
"""What holds where it says nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A wheel to be built: the archive, what its build imports, and the Python it is built by."""

    name: str
    version: str
    sdist: Path
    requirements: Path
    """A folder of unpacked wheels, for `sys.path`."""
    system: BuildSystem
    target: Target
    base: LockedBase
    interpreter: Interpreter
    key: str
    """Of all that the wheel is made from, in hex."""


Build = Callable[[Job], Path]
"""Builds a wheel and returns where it is kept; `build_in` does so, given a sandbox."""


class SourceDistribution(NamedTuple):
    """What an index has of a package, apart from wheels."""

    name: str
    version: str
    url: str
    digest: Digest


def build_in(sandbox: Sandbox, job: Job, wheelhouse: Path, *, timeout_s: float = _TIMEOUT_S) -> Path:
    """Build a job's wheel in a sandbox and keep it in `wheelhouse/KEY/`; a wheel already there is returned.

    Raises LockError, with the build's last words, where the build fails or makes something else.
    """
    import shutil
    import tempfile

    kept = wheelhouse / job.key
    if ready := next(iter(sorted(kept.glob("*.whl"))), None):
        return ready
    with tempfile.TemporaryDirectory(prefix="lading-build-") as name:
        inputs, tmp = Path(name, "src"), Path(name, "tmp")
        tmp.mkdir()
        tmp.chmod(0o1777)
        inputs.mkdir()
        shutil.copyfile(_HOOK, inputs / "hook.py")
        shutil.copyfile(job.sdist, inputs / job.sdist.name)
        # the sandbox's user is another than ours
        Path(name).chmod(0o755)
        settings = json.dumps({"backend": job.system.backend, "path": job.system.path})
        argv = [
            *(job.interpreter.path, "-I", "/src/hook.py", settings),
            *(f"/src/{job.sdist.name}", "/requirements", "/tmp"),  # noqa: S108 - the sandbox's own
        ]
        mounts = {"/src": inputs, "/requirements": job.requirements}
        environ = {"SOURCE_DATE_EPOCH": "315532800", "HOME": "/tmp", "PATH": "/usr/bin:/bin"}  # noqa: S108
        running = sandbox.start(argv, env=environ, tmp=tmp, network=False, mounts=mounts)
        try:
            status = running.wait(timeout_s)
        except TimeoutError as error:
            raise _failed(job, f"took longer than {timeout_s:.0f} s", running.output()) from error
        finally:
            running.stop()
        if status:
            raise _failed(job, f"ended with status {status}", running.output())
        return _keep(_built(job, tmp / "wheel"), kept)


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes wheels of the packages that one target has none of."""

    target: Target
    base: LockedBase
    interpreter: Interpreter
    uv: Uv
    fetch: Fetch
    build: Build

    def missing(self, wanted: Iterable[str]) -> tuple[Path, ...]:
        """Build what requirements have as source alone; return the folders that the wheels lie in."""
        found = (sdist for requirement in wanted for sdist in find(requirement, self.target, self.uv))
        return tuple(self.wheel(sdist).parent for sdist in found)

    def wheel(self, sdist: SourceDistribution) -> Path:
        """Fetch, check and build one source distribution; raise LockError where it cannot be built."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="lading-build-") as name:
            # a store may keep files by digest, and a format is told by its suffix
            named, folder = Path(name, "named"), Path(name, "requirements")
            named.mkdir()
            folder.mkdir()
            # the sandbox's user is another than ours
            Path(name).chmod(0o755)
            archive = self._local(sdist.url, sdist.digest, named)
            system = build_system(archive)
            found = self._build_requirements(sdist, system.requires)
            made_from = [str(sdist.digest), str(self.target), *(str(wheel.digest) for wheel in found)]
            self.uv.install([self._local(one.url, one.digest, named) for one in found], self.target, folder)
            job = Job(
                sdist.name,
                sdist.version,
                archive,
                folder,
                system,
                self.target,
                self.base,
                self.interpreter,
                Digest.of("\n".join(made_from).encode()).hex,
            )
            return self.build(job)

    def _local(self, url: str, digest: Digest, folder: Path) -> Path:
        """Have a checked file here, in a folder and under its own name."""
        path = wheels.local_path(url)
        path = self.fetch.file(url, digest) if path is None else _checked(path, digest)
        named = folder / Path(unquote(url.rpartition("/")[2])).name
        named.symlink_to(path.absolute())
        return named

    def _build_requirements(self, sdist: SourceDistribution, requires: tuple[str, ...]) -> list[Found]:
        answer = self.uv.compile(Demand({"build": requires}), self.target)
        if not answer.solved:
            names = ", ".join(map(repr, requires))
            what = f"its build needs {names}, which cannot be had as wheels for {self.target}"
            fix = "choose another version or Python, or name the folder of a wheel in 'indexes.find_links'"
            raise LockError(Issue(f"package {sdist.name!r}", what, fix), Issue("uv", last_lines(answer.text)))
        return wheels.select(answer.text, self.target, f"build requirements of {sdist.name}", answer.folder)


def find(requirement: str, target: Target, uv: Uv) -> list[SourceDistribution]:
    """Find the newest source distribution that a requirement allows; nothing of it is run."""
    answer = uv.compile(Demand({"model": (requirement,)}), target, sources_only=True)
    packages = toml.parse(answer.text.encode(), "pylock.toml").get("packages", []) if answer.solved else []
    found = []
    for package in packages:
        match package:
            case {"name": name, "version": version, "sdist": {"url": url, "hashes": {"sha256": sha256}}}:
                plain = credentials.clean(url, f"package {name!r}")
                found.append(SourceDistribution(name, version, plain, Digest.parse(f"sha256:{sha256}")))
            case _:
                pass
    return found


def build_system(sdist: Path) -> BuildSystem:
    """Read `[build-system]` of an archive's pyproject.toml; raise LockError where it is malformed."""
    import tarfile
    import zipfile

    where = f"{sdist.name}: pyproject.toml"
    try:
        data = _pyproject(sdist)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        raise LockError(Issue(sdist.name, f"not a source distribution: {error}")) from error
    table = toml.parse(data, where).get("build-system") or {}
    requires, path = table.get("requires", _LEGACY.requires), table.get("backend-path", [])
    backend = table.get("build-backend", _LEGACY.backend)
    if not (_are_texts(requires) and _are_texts(path) and isinstance(backend, str)):
        raise LockError(Issue(where, "got a [build-system] of another form, expected that of PEP 518"))
    return BuildSystem(tuple(requires), backend, tuple(path))


def _are_texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def _pyproject(sdist: Path) -> bytes:
    """Return the pyproject.toml beside the archive's PKG-INFO, empty where there is none."""
    import tarfile
    import zipfile

    if sdist.suffix == ".zip":
        with zipfile.ZipFile(sdist) as archive:
            for info in archive.infolist()[:_MOST_MEMBERS]:
                if _is_pyproject(info.filename):
                    with archive.open(info) as stream:
                        return stream.read(_LIMIT_BYTES)
        return b""
    seen_bytes = 0
    with tarfile.open(sdist) as tar:
        for count, member in enumerate(tar):
            seen_bytes += member.size
            if count > _MOST_MEMBERS or seen_bytes > _MOST_BYTES:
                raise tarfile.ReadError("it unpacks to an absurd size")
            if _is_pyproject(member.name) and (found := tar.extractfile(member)):
                return found.read(_LIMIT_BYTES)
    return b""


def _is_pyproject(name: str) -> bool:
    parts = name.removeprefix("./").split("/")
    return len(parts) == 2 and parts[1] == "pyproject.toml"


def _checked(path: Path, digest: Digest) -> Path:
    try:
        with path.open("rb") as stream:
            found = Digest.of_stream(stream)
    except OSError as error:
        raise LockError(
            Issue(str(path), f"cannot be read: {(error.strerror or 'unknown').lower()}")
        ) from error
    if found != digest:
        raise IntegrityError(Issue(str(path), f"got {found}, expected {digest}"))
    return path


def _built(job: Job, folder: Path) -> Path:
    """Find the wheel that a build left and check that it is of the right name, version and target."""
    from packaging.utils import InvalidWheelFilename, canonicalize_version, parse_wheel_filename

    left = sorted(path for path in folder.glob("*.whl") if path.is_file() and not path.is_symlink())
    if len(left) != 1:
        raise _failed(job, f"left {len(left)} wheels, expected one", "")
    try:
        name, version, _, tags = parse_wheel_filename(left[0].name)
    except InvalidWheelFilename as error:
        raise _failed(job, f"left {left[0].name!r}, which is no wheel's name", "") from error
    if name != job.name or canonicalize_version(str(version)) != canonicalize_version(job.version):
        raise _failed(job, f"made {left[0].name}, expected {job.name} {job.version}", "")
    if not tags & set(wheels.tags(job.target)):
        raise _failed(job, f"made {left[0].name}, which does not run on {job.target}", "")
    return left[0]


def _keep(wheel: Path, folder: Path) -> Path:
    import shutil

    folder.mkdir(parents=True, exist_ok=True)
    kept, partial = folder / wheel.name, folder / f".{wheel.name}.{os.getpid()}"
    shutil.copyfile(wheel, partial)
    partial.replace(kept)
    return kept


def _failed(job: Job, what: str, output: str) -> LockError:
    fix = (
        "build a wheel of it elsewhere and name its folder in 'indexes.find_links', or choose another version"
    )
    said = [Issue("build", output.strip()[-_LAST_CHARACTERS:])] if output.strip() else []
    return LockError(*said, Issue(f"package {job.name!r}", f"the build of {job.version} {what}", fix))
