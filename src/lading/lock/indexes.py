"""Where packages come from, by the spec and by this machine's configuration → variables for uv.

uv reads its own variables and files itself. pip's index and find-links are honoured only where neither the
spec nor uv's configuration names a place. pip's extra indexes never are: uv takes a name from the first index
that has it, which is the guard against dependency confusion, and pip's configuration tells no order.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from lading.core.errors import LockError
from lading.core.spec import Indexes
from lading.lock import toml

_UV_PLACES = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
)
Ask = Callable[[str], tuple[str, str] | None]
"""A URL → user and password, None where nobody is known."""
_UV_KEYS = {"index", "index-url", "extra-index-url", "find-links", "no-index"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where uv is to look, beside its own configuration."""

    variables: Mapping[str, str]
    """Places go by variables, so that credentials in a URL stay off every command line."""
    no_index: bool


@dataclass(frozen=True, slots=True)
class PipPlaces:
    """What pip's configuration says of places."""

    url: str | None = None
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    extra: tuple[str, ...] = ()
    """Known only to be named in an error: they are not searched."""


def settings(indexes: Indexes, environ: Mapping[str, str], *, no_index: bool = False) -> Settings:
    """Tell uv where to look."""
    pip = PipPlaces()
    if not (indexes.url or indexes.extra or no_index or uv_names_places(environ)):
        pip = pip_places(environ)
    found: dict[str, str] = {}
    if url := indexes.url or pip.url:
        found["UV_DEFAULT_INDEX"] = url
    if indexes.extra:
        found["UV_INDEX"] = " ".join((*indexes.extra, *environ.get("UV_INDEX", "").split()))
    if links := (*indexes.find_links, *pip.find_links):
        theirs = filter(None, environ.get("UV_FIND_LINKS", "").split(","))
        found["UV_FIND_LINKS"] = ",".join((*map(_location, links), *theirs))
    return Settings(found, no_index or pip.no_index)


def logged_in(variables: Mapping[str, str], ask: Ask) -> dict[str, str]:
    """Write who to be into the URLs of places that tell nobody: by no other way is uv told without a file."""
    found = dict(variables)
    for name in _UV_PLACES:
        separator = "," if name == "UV_FIND_LINKS" else " "
        places = found.get(name, "").replace("\n", " ").split(separator)
        if any(places):
            found[name] = separator.join(_logged_in(one, ask) for one in places)
    return found


def _logged_in(place: str, ask: Ask) -> str:
    named, url = ("", place) if place.startswith("http") else place.rpartition("=")[::2]
    if not url.startswith(("http://", "https://")):
        return place
    parts = urlsplit(url)
    if parts.username is not None or not (pair := ask(url)):
        return place
    user, password = (quote(one, safe="") for one in pair)
    url = parts._replace(netloc=f"{user}:{password}@{parts.netloc}").geturl()
    return f"{named}={url}" if named else url


def uv_names_places(environ: Mapping[str, str]) -> bool:
    """Tell whether uv's variables or its user's or system's file name an index or a find-links place."""
    if any(environ.get(name) for name in _UV_PLACES):
        return True
    return any(_names_places(path) for path in uv_files(environ))


def uv_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """List the files of uv's configuration outside projects, as far as they are there."""
    if environ.get("UV_NO_CONFIG", "").lower() in {"1", "true", "yes", "on"}:
        return
    if named := environ.get("UV_CONFIG_FILE"):
        candidates = [Path(named)]
    else:
        home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/"), ".config")
        system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        candidates = [Path(folder, "uv/uv.toml") for folder in (home, *system, "/etc")]
    yield from (path for path in candidates if path.is_file())


def pip_places(environ: Mapping[str, str]) -> PipPlaces:
    """Read pip's configuration: its files in pip's order, then its variables."""
    values: dict[str, str] = {}
    for path in pip_files(environ):
        values.update(_pip_values(path))
    for name in ("index-url", "find-links", "no-index", "extra-index-url"):
        if value := environ.get(f"PIP_{name.upper().replace('-', '_')}"):
            values[name] = value
    links = tuple(os.path.expandvars(link) for link in values.get("find-links", "").split())
    return PipPlaces(
        values.get("index-url"),
        links,
        values.get("no-index", "").lower() in {"1", "true", "yes", "on"},
        tuple(values.get("extra-index-url", "").split()),
    )


def pip_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """List pip's configuration files, as far as they are there (pip, "Configuration", "Location")."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME", "/"))
    config = environ.get("XDG_CONFIG_HOME") or home / ".config"
    system = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    candidates = [
        *(Path(folder, "pip/pip.conf") for folder in reversed(system)),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        Path(config, "pip/pip.conf"),
        Path(sys.prefix, "pip.conf"),
        *([Path(named)] if named else []),
    ]
    yield from (path for path in candidates if path.is_file())


def configured_texts(environ: Mapping[str, str]) -> list[str]:
    """Return the texts of all configuration files, in which secrets may stand."""
    return [text for path in (*uv_files(environ), *pip_files(environ)) for text in _text(path)]


def _names_places(path: Path) -> bool:
    try:
        document = toml.parse(b"\n".join(text.encode() for text in _text(path)), path.name)
    except LockError:
        # uv says what is wrong with its own file
        return True
    return bool(_UV_KEYS & (document.keys() | dict(document.get("pip") or {}).keys()))


def _pip_values(path: Path) -> dict[str, str]:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        # pip's file is pip's affair; it only ever adds places
        return {}
    sections = (section for section in ("global", "install") if parser.has_section(section))
    return {name.replace("_", "-"): value for section in sections for name, value in parser.items(section)}


def _text(path: Path) -> Iterator[str]:
    try:
        yield path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return


def _location(link: str) -> str:
    """Spell a folder as a URL: uv splits the variable at commas, a URL has none that is not escaped."""
    return link if "://" in link else Path(link).expanduser().absolute().as_uri().replace(",", "%2C")
