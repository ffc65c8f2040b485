"""Files and folders in; where they lie in the sandbox, and the mini batches they make, out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lading.core.errors import Issue, SpecError

DATA = "/var/lading-data"
"""Where the files lie in the sandbox, read-only."""
_FILES_ALONE = 500


@dataclass(frozen=True, slots=True)
class MiniBatch:
    """Files that are scored together, by their paths in the sandbox."""

    number: int
    paths: tuple[str, ...]
    digest: str
    """Of the names, sizes and times of its files."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What is mounted where, and every file of it: path in the sandbox → the file here."""

    mounts: Mapping[str, Path]
    files: Mapping[str, Path]


def lend(placed: Placed, folder: Path) -> Placed:
    """Copy files to `folder` where some are links, or not for every user to read: the sandbox has its own."""
    if all(map(_is_readable, {*placed.files.values(), *_folders(placed)})):
        return placed
    for path, one in placed.files.items():
        copy = folder / PurePosixPath(path).relative_to(DATA)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(one, copy)
        copy.chmod(0o644)
    for one in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        one.chmod(0o755)
    return Placed({DATA: folder}, placed.files)


def _folders(placed: Placed) -> Iterator[Path]:
    """Yield the folders that are mounted, and those below them that hold files."""
    for root in placed.mounts.values():
        if root.is_dir():
            yield root
            for one in placed.files.values():
                yield from (below for below in one.parents if below.is_relative_to(root))


def _is_readable(path: Path) -> bool:
    mode = path.stat().st_mode
    if path.is_dir():
        return mode & 0o005 == 0o005
    return bool(mode & 0o004) and not path.is_symlink()  # it may lead out of what is mounted


def place(data: Sequence[Path]) -> Placed:
    """Find the files of one folder, or some files; raise SpecError where there are none, or two of a name."""
    data = [one.absolute() for one in data]
    folders = [one for one in data if one.is_dir()]
    if folders and len(data) > 1:
        raise SpecError(Issue("--data", "got a folder among others, expected one folder or files"))
    if folders:
        files = _walked(folders[0])
        if not files:
            raise SpecError(Issue("--data", f"there is no file in {str(folders[0])!r}"))
        return Placed({DATA: folders[0].absolute()}, files)
    issues = [Issue("--data", f"{str(one)!r} does not exist") for one in data if not one.is_file()]
    placed: dict[str, Path] = {}
    for one in data:
        if (path := f"{DATA}/{one.name}") in placed:
            issues.append(Issue("--data", f"two files are called {one.name!r}", "name their folder"))
        placed[path] = one.absolute()
    if len(data) > _FILES_ALONE:
        issues.append(Issue("--data", f"got {len(data)} files, expected {_FILES_ALONE} at most, or a folder"))
    if not data:
        issues.append(Issue("--data", "names nothing, expected a folder or files"))
    if issues:
        raise SpecError(*issues)
    return Placed(placed, placed)


def _walked(folder: Path) -> dict[str, Path]:
    """List the files below a folder in order of their paths; links are what they lead to."""
    found = {}
    for here, below, names in os.walk(folder):
        below.sort()
        for name in names:
            path = Path(here, name)
            if path.is_file():
                found[str(PurePosixPath(DATA, path.relative_to(folder).as_posix()))] = path
    return dict(sorted(found.items()))


def mini_batches(files: Mapping[str, Path], size: int) -> list[MiniBatch]:
    """Divide files, in their order, into batches of a size; the last may be smaller."""
    paths = list(files)
    divided = [tuple(paths[start : start + size]) for start in range(0, len(paths), size)]
    return [MiniBatch(number, some, _digest(files, some)) for number, some in enumerate(divided)]


def plan(batches: Sequence[MiniBatch], *more: object) -> str:
    """Digest which files make which mini batches, and what else has to be the same to go on."""
    return _hashed([[one.paths for one in batches], *map(str, more)])


def _digest(files: Mapping[str, Path], paths: Sequence[str]) -> str:
    stats = [(path, files[path].stat()) for path in paths]
    return _hashed([[path, stat.st_size, stat.st_mtime_ns] for path, stat in stats])


def _hashed(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
