"""The files of an asset: a path goes in, what is kept of it comes out, under the paths that it keeps.

What `.amlignore`, or else `.gitignore`, in the folder names is left out, as git reads such a file; so are the
caches of tools and secrets by custom (`NEVER_PACKAGED`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from lading.core.errors import Issue, SpecError
from lading.core.files import describe
from lading.core.model import NEVER_PACKAGED, ModelFile

IGNORE_FILES = (".amlignore", ".gitignore")
"""The first that is there is read, as Azure ML reads it; neither is kept."""
_MOST_FILES = 10_000


def list_files(root: Path, *, keeps_name: bool = True) -> tuple[ModelFile, ...]:
    """List a file, or what lies in a folder, by path; a folder's own name comes before, if it keeps it.

    Links may lead to files within the folder. Raises SpecError with every issue: for what is not there,
    cannot be read or leads out of the folder, for devices and pipes, and for a folder with nothing to keep.
    """
    if not root.exists():
        raise SpecError(Issue(str(root), "no such file or folder"))
    if not root.is_dir():
        return (ModelFile(root.name, root.resolve(), root.stat().st_size),)
    real = root.resolve()
    issues: list[Issue] = []
    before = f"{real.name}/" if keeps_name and real.name else ""
    found = list(_entries(real, real, before, _ignored(real), issues))
    if len(found) > _MOST_FILES:
        what = f"holds more than {_MOST_FILES} files"
        issues.append(
            Issue(
                str(root), what, "name what is needed, leave out the rest in .amlignore, or make one archive"
            )
        )
    if not found and not issues:
        issues.append(Issue(str(root), "has no files to keep", "look at its .amlignore or .gitignore"))
    if issues:
        raise SpecError(*issues)
    return tuple(sorted(found, key=lambda one: one.path))


def is_executable(path: Path) -> bool:
    """Tell whether a file's owner may run it."""
    return bool(path.stat().st_mode & stat.S_IXUSR)


def _ignored(root: Path) -> GitIgnoreSpec:
    for name in IGNORE_FILES:
        path = root / name
        if path.is_file():
            try:
                return GitIgnoreSpec.from_lines(path.read_text(encoding="utf-8-sig").splitlines())
            except (ValueError, OSError) as error:
                raise SpecError(Issue(str(path), f"cannot be read: {error}")) from error
    return GitIgnoreSpec.from_lines([])


def _entries(
    folder: Path, root: Path, before: str, ignored: GitIgnoreSpec, issues: list[Issue]
) -> Iterator[ModelFile]:
    try:
        with os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda entry: entry.name)
    except OSError as error:
        issues.append(Issue(str(folder), f"cannot be read: {error.strerror}", "change its permissions"))
        return
    for entry in entries:
        path = Path(entry.path)
        below = path.relative_to(root).as_posix()
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name in NEVER_PACKAGED or (folder == root and entry.name in IGNORE_FILES):
            continue
        if ignored.match_file(f"{below}/" if is_folder else below):
            continue
        if is_folder:
            yield from _entries(path, root, before, ignored, issues)
            continue
        found = describe(path, root, before + below, str(path))
        if isinstance(found, Issue):
            issues.append(found)
        else:
            yield found
