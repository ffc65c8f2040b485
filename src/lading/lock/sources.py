"""A file of requirements, of any kind → what it asks for, checked line by line."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from lading.core.builds import library_of
from lading.core.errors import Issue, LockError
from lading.core.spec import Indexes
from lading.lock import checkouts, conda, conda_wheels, credentials, toml
from lading.lock.conda_wheels import Mapped
from lading.lock.requirements import Entry, Listing, Reader

_INCLUDE = re.compile(
    r"""(?:^|[\s\[,"'])(?:-[rc]|--requirement|--constraint)[=\s]*([^\s,\]"'#]+)""", re.MULTILINE
)
_LOCAL_WHEEL = re.compile(r"""(?:^|[\s"'])([^\s"'@:]+\.whl)""", re.MULTILINE)
_PYLOCK = re.compile(r"pylock(?:\.[^.]+)?\.toml\Z")


@dataclass(frozen=True, slots=True)
class Sources:
    """What a file asks for."""

    requirements: tuple[str, ...] = ()
    """PEP 508."""
    constraints: tuple[str, ...] = ()
    hashes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By normalised name, the sha256 that a wheel may have; all may where a name is absent."""
    python: str | None = None
    requires_python: str | None = None
    indexes: Indexes = field(default_factory=Indexes)
    no_index: bool = False
    prereleases: bool = False
    pylock: Path | None = None
    """Set for a pylock.toml: nothing is left to be resolved."""
    places: Mapping[str, str] = field(default_factory=dict)
    """By requirement, the file and line that asks for it."""
    mapped_from: Mapping[str, str] = field(default_factory=dict)
    """By requirement, the conda package that it stands for."""
    system_packages: tuple[str, ...] = ()
    """Debian packages that stand for conda packages."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment, as a conda file sets them."""
    platforms: tuple[str, ...] = ()
    """What a conda file is for, such as `linux/amd64` or `osx-arm64`; empty where it does not say."""
    conda_file: conda.CondaFile | None = None
    """What is to be solved by conda's rules."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def load(path: Path | None, environ: Mapping[str, str], *, solves: bool = False) -> Sources:
    """Read requirements.txt, pyproject.toml, pylock.toml, conda.yaml or python_env.yaml.

    With `solves` a conda file's packages are left as they are, else wheels stand for them. Raises LockError
    with everything that is wrong, each with its file and line.
    """
    if path is None:
        if solves:
            fix = "name it in 'requirements'"
            raise LockError(Issue("conda", "there is no conda.yaml whose packages could be solved", fix))
        return Sources()
    if not path.is_file():
        raise LockError(Issue(str(path), "there is no such file", "see 'requirements' in the spec"))
    if solves and path.suffix not in {".yaml", ".yml"}:
        fix = "name a conda.yaml in 'requirements'"
        raise LockError(Issue(path.name, "holds no conda packages that could be solved", fix))
    if _PYLOCK.match(path.name):
        return Sources(pylock=path)
    if path.suffix == ".toml":
        return _pyproject(path)
    if path.suffix in {".yaml", ".yml"}:
        return _conda(path, environ, solves=solves)
    listing = Listing()
    Reader(listing, environ).file(path)
    return _sources(listing)


def allowing(read: Sources) -> Callable[[str], bool]:
    """Tell which minor versions of Python the requirements file is for; LockError where it says no range."""
    if read.requires_python is None:
        return lambda _: True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        allowed = SpecifierSet(read.requires_python)
    except InvalidSpecifier as error:
        raise LockError(
            Issue("requires-python", f"got {read.requires_python!r}, expected versions")
        ) from error
    # the patch release is the base's affair: any of a minor version will do
    return lambda minor: allowed.contains(f"{minor}.99")


def pythons(
    path: Path | None, environ: Mapping[str, str], *, solves: bool
) -> tuple[str | None, Callable[[str], bool]]:
    """Return the Python that a file names, and what tells which minor versions (`3.11`) it is for."""
    is_telling = path is not None and path.suffix in {".toml", ".yaml", ".yml"} and path.is_file()
    read = load(path, environ, solves=solves) if is_telling else Sources()
    return read.python, allowing(read)


class Surroundings(NamedTuple):
    """What a conda file says besides libraries."""

    system_packages: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()
    """What Debian's packages stand for, and what is left out and why; without secrets."""


def surroundings(path: Path | None, *, solves: bool) -> Surroundings:
    """Return the Debian packages and the environment variables that a conda file asks for.

    Where conda's packages are solved, no other stands for them. `load` tells what is wrong with the file.
    """
    if path is None or path.suffix not in {".yaml", ".yml"} or not path.is_file():
        return Surroundings()
    found = conda.load(path)
    mapped = Mapped() if solves else conda_wheels.translate(found)
    debian = tuple(dict.fromkeys(mapped.system_packages))
    return Surroundings(debian, found.variables, (*found.notes, *mapped.beside))


def contents(path: Path) -> list[bytes]:
    """Return the bytes of a file, and of every file and local wheel that it includes, in order of mention.

    It reads more generously than `load`, and much faster: a comment that looks like an include counts as one.
    """
    seen: dict[Path, bytes] = {}
    _collect(path, seen)
    return list(seen.values())


def name_of(requirement: str) -> str:
    """Return the normalised name (PEP 503) that a PEP 508 requirement begins with."""
    name = re.match(r"\s*([A-Za-z0-9._-]*)", requirement)
    assert name is not None
    return normalise(name[1])


def library(requirement: str) -> str:
    """Name the library of which a requirement asks for a build."""
    return library_of(name_of(requirement))


def normalise(name: str) -> str:
    """Return a distribution's name as PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def check(entries: Iterable[Entry]) -> list[Issue]:
    """List what is wrong with requirements: not PEP 508, a checkout, or a credential."""
    from packaging.requirements import InvalidRequirement, Requirement

    issues = []
    for entry in entries:
        try:
            parsed = Requirement(entry.text)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            text = credentials.redact(entry.text, ())
            issues.append(Issue(entry.where, f"got {text!r}, expected a requirement: {_lower(reason)}"))
            continue
        if parsed.url is None:
            continue
        try:
            plain = credentials.clean(parsed.url, entry.where)
        except LockError as error:
            issues += error.issues
            continue
        if not plain.endswith(".whl") and not plain.startswith(checkouts.SCHEMES):
            fix = "build a wheel of it and require the wheel"
            issues.append(
                Issue(entry.where, f"{parsed.name!r} is taken from {plain!r}, which is no wheel", fix)
            )
    return issues


def _sources(listing: Listing, **more: Any) -> Sources:  # noqa: ANN401 - fields of Sources
    issues = [*listing.issues, *check((*listing.entries, *listing.constraints))]
    if issues:
        raise LockError(*issues)
    allowed: dict[str, frozenset[str]] = {}
    for entry in (*listing.entries, *listing.constraints):
        if entry.hashes:
            name = name_of(entry.text)
            allowed[name] = allowed.get(name, frozenset()) | entry.hashes
    return Sources(
        tuple(entry.text for entry in listing.entries),
        tuple(entry.text for entry in listing.constraints),
        allowed,
        indexes=listing.indexes,
        no_index=listing.no_index,
        prereleases=listing.prereleases,
        places={entry.text: entry.where for entry in reversed(listing.entries)},
        mapped_from={entry.text: entry.mapped_from for entry in listing.entries if entry.mapped_from},
        notes=(*listing.notes, *more.pop("notes", ())),
        **more,
    )


def _conda(path: Path, environ: Mapping[str, str], *, solves: bool) -> Sources:
    found = conda.load(path)
    mapped = Mapped() if solves else conda_wheels.translate(found)
    entries = [Entry(where, text, mapped_from=spec) for where, text, spec in mapped.wheels]
    listing = Listing(entries, issues=[*found.issues, *mapped.issues])
    reader = Reader(listing, environ)
    for line in found.lines:
        _conditional(reader, line, path.parent)
    return _sources(
        listing,
        python=found.python,
        requires_python=found.requires_python,
        system_packages=tuple(dict.fromkeys(mapped.system_packages)),
        variables=found.variables,
        conda_file=found if solves else None,
        platforms=tuple(conda.SUBDIRS.get(one, one) for one in found.platforms),
        notes=(*found.notes, *mapped.notes, *mapped.beside),
        warnings=(*found.warnings, *mapped.warnings),
    )


def _conditional(reader: Reader, line: conda.Line, folder: Path) -> None:
    """Read a line that may count for some platforms only: its requirement then has a marker."""
    listing = reader.listing
    known = len(listing.entries)
    if isinstance(line.condition, str) and line.text.startswith("-"):
        what = "an option cannot depend on the processor or on Python"
        listing.issues.append(Issue(line.where, what, "let the requirements depend on it"))
        return
    reader.line(line.text, line.where, folder)
    if isinstance(line.condition, str):
        listing.entries[known:] = [_marked(one, line.condition) for one in listing.entries[known:]]


def _marked(entry: Entry, marker: str) -> Entry:
    from packaging.markers import Marker
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(entry.text)
    except InvalidRequirement:
        return entry  # `check` tells what is wrong with it
    own = f"({requirement.marker}) and " if requirement.marker else ""
    requirement.marker = Marker(f"{own}({marker})")
    return replace(entry, text=str(requirement))


def _pyproject(path: Path) -> Sources:
    project = toml.parse(path.read_bytes(), path.name).get("project")
    if not isinstance(project, dict):
        raise LockError(Issue(path.name, "there is no [project] table"))
    if "dependencies" in project.get("dynamic", ()):
        fix = "lock them with a tool of your choice, and name that file in 'requirements'"
        raise LockError(Issue(path.name, "project.dependencies is dynamic: only a build could tell", fix))
    listed = project.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise LockError(
            Issue(path.name, "got project.dependencies of another form, expected a list of texts")
        )
    lines = path.read_text(encoding="utf-8").splitlines()
    listing = Listing(entries=[Entry(_place(path, lines, text), text) for text in listed])
    requires_python = project.get("requires-python")
    return _sources(listing, requires_python=requires_python if isinstance(requires_python, str) else None)


def _place(path: Path, lines: list[str], text: str) -> str:
    number = next((number for number, line in enumerate(lines, start=1) if text in line), None)
    return f"{path.name}:{number}" if number else path.name


def _collect(path: Path, seen: dict[Path, bytes]) -> None:
    path = Path(os.path.normpath(path.absolute()))
    if path in seen or not path.is_file():
        return
    seen[path] = path.read_bytes()
    if path.suffix in {".whl", ".toml"}:
        return
    text = seen[path].decode("utf-8", "replace")
    for name in (*_INCLUDE.findall(text), *_LOCAL_WHEEL.findall(text)):
        _collect(path.parent / name, seen)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
