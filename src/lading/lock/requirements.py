"""A requirements.txt and all that it includes → entries (pip, "Requirements File Format")."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lading.core.errors import Issue
from lading.core.spec import Indexes
from lading.lock import checkouts

_COMMENT = re.compile(r"(?:^|\s)#.*$")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_HASH = re.compile(r"\s--hash[=\s]+([a-z0-9]+):([0-9a-fA-F]+)")
_OPTION = re.compile(r"(--[a-z][a-z-]*)(?:=(.*))?\Z|(-[a-zA-Z])=?(.*)\Z", re.DOTALL)
_ARCHIVE = re.compile(r"\.(?:whl|tar\.gz|zip|tgz|tar\.bz2|tar\.xz)(?:[?#]|\Z)")
_SPELLINGS = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-i": "--index-url",
    "--pypi-url": "--index-url",
    "-f": "--find-links",
    "-e": "--editable",
    "-U": "--upgrade",
    "-q": "--quiet",
    "-v": "--verbose",
}
_PASSED_OVER = {
    *("--prefer-binary", "--require-hashes", "--no-cache-dir", "--disable-pip-version-check", "--no-input"),
    *("--upgrade", "--user", "--quiet", "--verbose", "--no-warn-script-location", "--no-color"),
}
_IGNORED = {
    *("--trusted-host", "--use-feature", "--only-binary", "--no-binary", "--cache-dir", "--timeout"),
    *("--default-timeout", "--retries", "--progress-bar", "--upgrade-strategy", "--root-user-action"),
    *_PASSED_OVER,
}
_FLAGS = {"--no-index", "--pre", *_PASSED_OVER}
_CHECKOUT = ("git+", "hg+", "svn+", "bzr+")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_DEPTH = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A requirement; made PEP 508 where it was the path or URL of a wheel."""

    where: str
    text: str
    hashes: frozenset[str] = frozenset()
    """sha256, in hex; empty where none was given."""
    mapped_from: str | None = None
    """The conda package that it stands for."""


@dataclass(slots=True)
class Listing:
    """What requirements files say; `issues` holds everything that is wrong with them."""

    entries: list[Entry] = field(default_factory=list)
    constraints: list[Entry] = field(default_factory=list)
    indexes: Indexes = field(default_factory=Indexes)
    no_index: bool = False
    prereleases: bool = False
    notes: list[str] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads lines and files into a listing; `environ` is what `${VARIABLE}` is taken from."""

    listing: Listing
    environ: Mapping[str, str]

    def file(self, path: Path, *, constraint: bool = False, depth: int = 0) -> None:
        """Read a file and, relative to it, all that it includes."""
        if depth > _DEPTH:
            self._issue(path.name, f"included {_DEPTH} files deep: they include each other")
            return
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            self._issue(path.name, f"cannot be read: {(error.strerror or 'unknown').lower()}")
            return
        except UnicodeDecodeError:
            self._issue(path.name, "is not UTF-8", "save it as UTF-8")
            return
        for number, line in _lines(text):
            self.line(line, f"{path.name}:{number}", path.parent, constraint=constraint, depth=depth)

    def line(self, text: str, where: str, folder: Path, *, constraint: bool = False, depth: int = 0) -> None:
        """Read a requirement or an option; paths in it are relative to `folder`."""
        if missing := [name for name in _VARIABLE.findall(text) if name not in self.environ]:
            names = ", ".join(missing)
            self._issue(where, f"names the variable {names}, which is not set", f"export {names}")
            return
        text = _VARIABLE.sub(lambda match: self.environ[match[1]], text)
        if not text.startswith("-"):
            self._requirement(text, where, folder, constraint=constraint)
            return
        for name, value in self._options(text, where):
            if name in {"--requirement", "--constraint"}:
                self._include(
                    value, where, folder, constraint=constraint or name == "--constraint", depth=depth
                )
            else:
                self._option(name, value, where, folder)

    def _options(self, text: str, where: str) -> Iterator[tuple[str, str]]:
        """Part a line of options, each with its value."""
        try:
            words = shlex.split(text)
        except ValueError:
            self._issue(where, f"got {text.partition(' ')[0]!r} with a quotation mark that is not closed")
            return
        while words:
            word = words.pop(0)
            match = _OPTION.match(word)
            if not match:
                what = "more than one value of an option, or a requirement behind one"
                self._issue(where, f"got {what}", "give each requirement a line of its own")
                return
            name, value = match[1] or match[3], match[2] or match[4] or ""
            name = _SPELLINGS.get(name, name)
            if not value and name not in _FLAGS and words and not words[0].startswith("-"):
                value = words.pop(0)
            yield name, value

    def _include(self, name: str, where: str, folder: Path, *, constraint: bool, depth: int) -> None:
        if "://" in name:
            self._issue(where, "includes a file by URL", "download it and include the file")
        elif not (folder / name).is_file():
            self._issue(where, f"includes {name!r}, and there is no such file")
        else:
            self.file(folder / name, constraint=constraint, depth=depth + 1)

    def _option(self, name: str, value: str, where: str, folder: Path) -> None:
        listing, known = self.listing, self.listing.indexes
        match name:
            case "--index-url" | "--extra-index-url" | "--find-links" if not value:
                self._issue(where, f"got {name!r} without a value")
            case "--index-url":
                listing.indexes = replace(known, url=value)
            case "--extra-index-url":
                listing.indexes = replace(known, extra=(*known.extra, value))
            case "--find-links":
                self._find_links(value, where, folder)
            case "--no-index":
                listing.no_index = True
            case "--pre":
                listing.prereleases = True
            case "--editable":
                fix = "build a wheel of it and require the wheel, or give it as 'code'"
                self._issue(where, "an editable install cannot be sealed", fix)
            case _ if name in _IGNORED:
                listing.notes.append(f"{where}: {name} has no effect here")
            case _:
                self._issue(where, f"unknown option {name!r}")

    def _find_links(self, value: str, where: str, folder: Path) -> None:
        known = self.listing.indexes
        place = value if "://" in value else str((folder / value).absolute())
        local = unquote(urlsplit(value).path) if value.startswith("file:") else place
        if "://" not in local and not Path(local).exists():
            what = f"looks for wheels in {value!r}, and there is no such folder"
            self._issue(where, what, "paths are relative to the file that names them")
            return
        self.listing.indexes = replace(known, find_links=(*known.find_links, place))

    def _requirement(self, text: str, where: str, folder: Path, *, constraint: bool) -> None:
        hashes = _HASH.findall(text)
        requirement = _HASH.sub("", text).strip()
        if match := re.search(r"\s(--[a-z-]+)", requirement):
            self._issue(where, f"got option {match[1]!r}, expected only '--hash' after a requirement")
            return
        sha256 = frozenset(value.lower() for algorithm, value in hashes if algorithm == "sha256")
        if hashes and not sha256:
            self._issue(where, f"got a hash by {hashes[0][0]}, expected one by sha256")
            return
        try:
            requirement = _as_pep508(requirement, folder)
        except _NotAWheelError as error:
            self._issue(where, str(error), "build a wheel of it and require the wheel")
            return
        if constraint and "git+" in requirement:
            self._issue(where, "a constraint cannot be a source checkout", "require it")
            return
        entries = self.listing.constraints if constraint else self.listing.entries
        entries.append(Entry(where, requirement, sha256))

    def _issue(self, where: str, what: str, fix: str | None = None) -> None:
        self.listing.issues.append(Issue(where, what, fix))


class _NotAWheelError(Exception):
    """A path, URL or checkout that is no wheel."""


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continued lines and drop comments; the number is that of the first line."""
    begun, start = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        start = start if begun else number
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            begun += raw[:-1].strip() + " "
            continue
        line = _COMMENT.sub("", begun + raw).strip()
        begun = ""
        if line:
            yield start, line
    if begun.strip():
        yield start, begun.strip()


def _as_pep508(text: str, folder: Path) -> str:
    """Turn the path or URL of a wheel into `name @ url`; raise _NotAWheelError for other sources."""
    name, at, reference = (part.strip() for part in text.partition(" @ "))
    if at and reference.startswith(checkouts.SCHEMES):
        return text
    if text.startswith(checkouts.SCHEMES) and (egg := _EGG.search(text)):
        return f"{egg[1]} @ {text}"
    if (reference if at else text).startswith(_CHECKOUT):
        raise _NotAWheelError(f"{name.partition('@')[0]!r} is a source checkout")
    is_url = not at and bool(re.match(r"[a-z]+:/", text))
    is_path = not (at or is_url) and (text.startswith((".", "/", "~")) or bool(_ARCHIVE.search(text)))
    if not (is_path or is_url):
        return text
    # the marker of a URL is set off by a space, for a URL may hold a semicolon
    located, semicolon, marker = (part.strip() for part in text.partition(" ;" if is_url else ";"))
    filename = re.split(r"[?#]", located, maxsplit=1)[0].rpartition("/")[2]
    if not filename.endswith(".whl"):
        raise _NotAWheelError(f"{filename or located!r} is not a wheel")
    if is_path:
        path = Path(os.path.normpath(folder.absolute() / Path(located).expanduser()))
        if not path.is_file():
            raise _NotAWheelError(f"{located!r} is not there")
        located = path.as_uri()
    distribution = filename.partition("-")[0].replace("_", "-")
    return f"{distribution} @ {located}" + (f" ; {marker}" if semicolon else "")
