"""A package that has only its source → a wheel of it, and what a lock keeps to make the same again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, LockError
from lading.core.lock import Interpreter, LockedBase, LockedSource, LockedWheel, PlatformLock
from lading.core.ports import Fetch, ignore
from lading.core.spec import Indexes
from lading.lock import checkouts, credentials, sdist, toml, wheels
from lading.lock.build import Build, CannotRun, Job, MoreRequirementsError, own_alone
from lading.lock.python import Demand, Target, Uv, last_lines


class SourceDistribution(NamedTuple):
    """What an index has of a package, apart from wheels."""

    name: str
    version: str
    url: str
    digest: Digest


class Made(NamedTuple):
    """A wheel that was built, and where its source is had."""

    path: Path
    digest: Digest
    url: str
    source: LockedSource


@dataclass(frozen=True, slots=True)
class Builder:
    """Makes wheels of the packages that one target has none of."""

    target: Target
    base: LockedBase
    interpreter: Interpreter
    uv: Uv
    fetch: Fetch
    build: Build

    def missing(self, wanted: Iterable[str]) -> tuple[Made, ...]:
        """Build what requirements have as source alone."""
        found = (one for requirement in wanted for one in find(requirement, self.target, self.uv))
        return tuple(map(self.make, found))

    def check_out(self, wanted: checkouts.Wanted, pin: checkouts.CheckOut) -> Made:
        """Build what a requirement has in a git repository; its wheel says which version that is."""
        url, digest = pin(wanted.url)
        return self.make(SourceDistribution(wanted.name, "", url, digest))

    def make(self, asked: SourceDistribution) -> Made:
        """Fetch, check and build one source distribution; raise LockError where it cannot be built."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="lading-build-") as name:
            archive = self._local(asked.url, asked.digest, Path(name))
            wanted = sdist.read(archive).system.requires
            source = self._source(asked, archive, wanted)
            try:
                path = self._built(asked, archive, source, asks=True)
            except MoreRequirementsError as error:
                source = self._source(asked, archive, (*wanted, *error.requirements))
                path = self._built(asked, archive, source, asks=False)
            return Made(path, _digest(path), asked.url, source)

    def remake(self, wheel: LockedWheel) -> Path:
        """Build a locked wheel again; raise LockError where other bytes than the locked come of it."""
        import tempfile

        assert wheel.source is not None
        with tempfile.TemporaryDirectory(prefix="lading-build-") as name:
            archive = self._local(wheel.url, wheel.source.digest, Path(name), wheel.source.size_bytes)
            path = self._built(wheel, archive, wheel.source, asks=False)
        if (got := _digest(path)) != wheel.digest:
            what = f"its build from source made {got}, and the lock has {wheel.digest}"
            fix = "lock again; if it happens again its build is not reproducible: give a wheel of it"
            raise LockError(Issue(f"package {wheel.name!r}", what, fix))
        return path

    def _built(
        self, what: SourceDistribution | LockedWheel, archive: Path, source: LockedSource, *, asks: bool
    ) -> Path:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="lading-build-") as scratch:
            named, folder = Path(scratch, "named"), Path(scratch, "requirements")
            named.mkdir()
            folder.mkdir()
            # the sandbox's user is another than ours
            Path(scratch).chmod(0o755)
            files = [self._local(one.url, one.digest, named, one.size_bytes) for one in source.requirements]
            self.uv.install(files, self.target, folder)
            job = Job(
                name=what.name,
                version=what.version,
                archive=archive,
                source=source,
                requirements=folder,
                needs=sdist.read(archive),
                target=self.target,
                base=self.base,
                interpreter=self.interpreter,
                asks=asks,
            )
            return self.build(job)

    def _local(self, url: str, digest: Digest, folder: Path, size_bytes: int | None = None) -> Path:
        """Have a checked file here, in a folder and under its own name.

        A store may keep files by digest, and a format is told by its suffix.
        """
        path = wheels.local_path(url)
        path = self.fetch.file(url, digest, size_bytes) if path is None else _checked(path, digest)
        is_checkout = url.startswith(checkouts.SCHEMES)
        named = folder / (checkouts.ARCHIVE if is_checkout else Path(unquote(url.rpartition("/")[2])).name)
        named.symlink_to(path.absolute())
        return named

    def _source(self, asked: SourceDistribution, archive: Path, requires: tuple[str, ...]) -> LockedSource:
        """Pin a source distribution and the wheels that its build imports."""
        name = asked.name
        answer = self.uv.compile(Demand({"build": requires}), self.target)
        if not answer.solved:
            names = ", ".join(map(repr, requires))
            what = f"its build needs {names}, which cannot be had as wheels for {self.target}"
            fix = "choose another version or Python, or name the folder of a wheel in 'indexes.find_links'"
            raise LockError(Issue(f"package {name!r}", what, fix), Issue("uv", last_lines(answer.text)))
        found = wheels.select(answer.text, self.target, f"build requirements of {name}", answer.folder)
        requirements = wheels.measure(found, self.fetch, wheels.Tally(ignore))
        return LockedSource(asked.digest, archive.stat().st_size, requirements)


@dataclass(frozen=True, slots=True)
class BuildingFetch:
    """The `Fetch` port for one platform of a lock: it builds the wheels that are made from source.

    `file` raises LockError for one that cannot be built here, or not with the bytes that were locked.
    """

    part: PlatformLock
    fetch: Fetch
    build: Build
    wheelhouse: Path
    """Where `build` keeps its wheels."""
    environ: Mapping[str, str]
    cannot_run: CannotRun = own_alone

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        """Return a file, from the wheelhouse or built where it is a wheel of a source distribution."""
        locked = (*self.part.model, *self.part.server)
        wheel = next((one for one in locked if one.source and one.digest == digest), None)
        if wheel is None:
            return self.fetch.file(url, digest, size_bytes)
        kept = (folder / wheel.filename for folder in sorted(self.wheelhouse.glob("*/")))
        ready = next((path for path in kept if path.is_file() and _digest(path) == digest), None)
        return ready or self._remade(wheel)

    def text(self, url: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return a document whose digest is not known yet."""
        return self.fetch.text(url, limit_bytes)

    def size_bytes(self, url: str) -> int | None:
        """Ask how long a file is."""
        return self.fetch.size_bytes(url)

    def _remade(self, wheel: LockedWheel) -> Path:
        serves = wheel in self.part.server
        python = self.part.server_interpreter if serves else self.part.interpreter
        platform = self.part.platform
        if problem := self.cannot_run(platform):
            what = f"it is built from source, for {platform}, and {problem.what}"
            fix = f"pack on a machine of {platform}, or name the folder of a wheel in 'indexes.find_links'"
            fix = f"{problem.fix}; or {fix}" if problem.fix else fix
            raise LockError(Issue(f"package {wheel.name!r}", what, fix))
        # all that it installs is here, by digest
        uv = Uv.configured(Indexes(), self.environ, no_index=True, offline=True)
        target = Target(platform, python.version, self.part.base.libc)
        return Builder(target, self.part.base, python, uv, self.fetch, self.build).remake(wheel)


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


def _digest(path: Path) -> Digest:
    with path.open("rb") as stream:
        return Digest.of_stream(stream)


def _checked(path: Path, digest: Digest) -> Path:
    try:
        found = _digest(path)
    except OSError as error:
        raise LockError(
            Issue(str(path), f"cannot be read: {(error.strerror or 'unknown').lower()}")
        ) from error
    if found != digest:
        raise IntegrityError(Issue(str(path), f"got {found}, expected {digest}"))
    return path
