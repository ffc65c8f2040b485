"""A package that has only its source → a wheel, built in a sandbox without network.

Nothing of a source distribution runs outside the sandbox: its build requirements are read from the archive's
pyproject.toml (PEP 518), resolved as wheels, unpacked beside it, and its build hook (PEP 517) runs inside.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lading.core.digest import Digest
from lading.core.errors import Issue, LockError
from lading.core.lock import Interpreter, LockedBase, LockedSource
from lading.core.platform import Platform
from lading.core.ports import Sandbox
from lading.lock import diagnosis, sdist, wheels
from lading.lock.python import Target, last_lines

_RECIPE = 2  # part of the cache's key: raise it when wheels are built another way
_TIMEOUT_S = 1800.0
_EMULATED_PATIENCE = 10
_LAST_LINES = 15
_LIMIT_BYTES = 1 << 20
_ENVIRON = {
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own
    "PATH": "/src/bin:/usr/bin:/bin",
    # the same bytes wherever and whenever it is built; the date is the first that a zip file can hold
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "315532800",
    "TZ": "UTC",
}
_COMPILER = """#!/bin/sh
# what is built runs on machines of every kind, and without its debugger's tables
for argument do
  shift
  case $argument in
    -march=native | -mcpu=native | -mtune=native) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec /usr/bin/PROGRAM "$@" -g0
"""
_HOOK = Path(__file__).with_name("hook.py")


@dataclass(frozen=True, slots=True)
class Job:
    """A wheel to be built: the archive, what its build imports, and the base and Python it is built in."""

    name: str
    version: str
    archive: Path
    source: LockedSource
    requirements: Path
    """A folder of the source's requirements, unpacked, for `sys.path`."""
    needs: sdist.Needs
    target: Target
    base: LockedBase
    interpreter: Interpreter
    asks: bool
    """Whether the backend is asked first if it wants more than pyproject.toml says."""

    @property
    def key(self) -> str:
        """Of all that the wheel is made from, in hex."""
        digests = [self.source.digest, *(one.digest for one in self.source.requirements)]
        digests += [one.digest for one in self.base.packages]
        made_from = [
            _RECIPE,
            str(self.target),
            self.interpreter.path,
            self.interpreter.version,
            *map(str, digests),
        ]
        return Digest.of(json.dumps(made_from).encode()).hex


class NoCompilerError(LockError):
    """A build wants a compiler, and the base that it is built in has none."""


class MoreRequirementsError(LockError):
    """A build wants more requirements than it was given."""

    def __init__(self, job: Job, requirements: tuple[str, ...]) -> None:
        """Name what it wants, as its backend does."""
        self.requirements = requirements
        super().__init__(Issue(f"package {job.name!r}", f"its build also wants {', '.join(requirements)}"))


CannotRun = Callable[[Platform], Issue | None]
"""Says why nothing of a platform can be run here, None where it can: a build runs what it builds with."""


def own_alone(platform: Platform) -> Issue | None:
    """Say that only this machine's own platform can be run."""
    if platform == Platform.current():
        return None
    return Issue("sandbox", f"this machine is {Platform.current()}", f"lock on a machine of {platform}")


Build = Callable[[Job], Path]
"""Builds a wheel and returns where it is kept; `build_in` does so, given a sandbox."""


def kept(job: Job, wheelhouse: Path) -> Path | None:
    """Return the wheel that a job made before, None where there is none."""
    return next(iter(sorted((wheelhouse / job.key).glob("*.whl"))), None)


def build_in(sandbox: Sandbox, job: Job, wheelhouse: Path, *, timeout_s: float = _TIMEOUT_S) -> Path:
    """Build a job's wheel in a sandbox and keep it in `wheelhouse/KEY/`; a wheel already there is returned.

    Raises LockError, with the build's last words, where the build fails or makes something else;
    NoCompilerError where it wants a compiler and the sandbox has none; MoreRequirementsError.
    """
    import tempfile

    if ready := kept(job, wheelhouse):
        return ready
    with tempfile.TemporaryDirectory(prefix="lading-build-") as name:
        Path(name).chmod(0o755)
        inputs, asking, building = Path(name, "src"), Path(name, "asking"), Path(name, "building")
        _write_inputs(job, inputs)
        if job.asks:
            _run(sandbox, job, inputs, asking, timeout_s)
            if wanted := _wanted(job, asking / "requires.json"):
                raise MoreRequirementsError(job, wanted)
        _run(sandbox, replace(job, asks=False), inputs, building, timeout_s)
        return _keep(_built(job, building / "wheel"), wheelhouse / job.key)


def _write_inputs(job: Job, folder: Path) -> None:
    """Lay out what the sandbox reads."""
    import shutil

    folder.mkdir()
    shutil.copyfile(_HOOK, folder / "hook.py")
    shutil.copyfile(job.archive, folder / job.archive.name)
    if any(one.name == "gcc" for one in job.base.packages):
        _write_compilers(folder / "bin", job.target.machine)
    _open_to_all(folder)
    _open_to_all(job.requirements)


def _run(sandbox: Sandbox, job: Job, inputs: Path, tmp: Path, timeout_s: float) -> None:
    """Run the hook, with a /tmp of its own; raise LockError where it fails."""
    tmp.mkdir()
    tmp.chmod(0o1777)
    system = job.needs.system
    settings = json.dumps({"backend": system.backend, "path": system.path, "asks": job.asks})
    argv = [
        *(job.interpreter.path, "-s", "/src/hook.py", settings),
        *(f"/src/{job.archive.name}", "/requirements", "/tmp"),  # noqa: S108 - the sandbox's own
    ]
    mounts = {"/src": inputs, "/requirements": job.requirements}
    running = sandbox.start(argv, env=_ENVIRON, tmp=tmp, network=False, mounts=mounts)
    try:
        status = running.wait(timeout_s * (_EMULATED_PATIENCE if sandbox.emulated else 1))
    except TimeoutError as error:
        raise _failed(job, f"took longer than {timeout_s:.0f} s", running.output()) from error
    finally:
        running.stop()
    if status:
        raise _failed(job, f"ended with status {status}", running.output())


def _wanted(job: Job, path: Path) -> tuple[str, ...]:
    """Read what a backend asks for besides what it has been given."""
    try:
        document = path.read_bytes() if not path.is_symlink() and path.stat().st_size < _LIMIT_BYTES else b""
        wanted = json.loads(document)
    except (OSError, ValueError) as error:
        raise _failed(job, "left no list of what it needs", "") from error
    if not isinstance(wanted, list) or not all(isinstance(one, str) for one in wanted):
        raise _failed(job, f"needs {wanted!r:.100}, expected requirements", "")
    return tuple(one for one in wanted if one not in job.needs.system.requires)


def _write_compilers(folder: Path, machine: str) -> None:
    """Write what builds call the compiler by; some names are links that maintainer scripts would make."""
    folder.mkdir()
    for name, program in (("cc", "gcc"), ("gcc", "gcc"), ("c++", "g++"), ("g++", "g++")):
        for prefix in ("", f"{machine}-linux-gnu-"):
            (folder / f"{prefix}{name}").write_text(_COMPILER.replace("PROGRAM", program))
            (folder / f"{prefix}{name}").chmod(0o755)


def _open_to_all(folder: Path) -> None:
    """Let the sandbox's user read a folder, which is another than ours, whatever our umask is."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


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
    # a checkout has no version until it is built
    told = not job.version or canonicalize_version(str(version)) == canonicalize_version(job.version)
    if name != job.name or not told:
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
    """Say what a build lacked before it is shown what the build said last."""
    cause = diagnosis.cause(output)
    summary = f"the build of {job.version} {cause.what or what}"
    issues = [Issue(f"package {job.name!r}", summary, cause.fix)]
    if output.strip():
        issues.append(Issue("the build's last words", last_lines(output, _LAST_LINES)))
    return NoCompilerError(*issues) if diagnosis.lacks_compiler(output) else LockError(*issues)
