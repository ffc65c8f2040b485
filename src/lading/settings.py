"""The environment and the configuration file go in, settings come out.

The file is `config.toml` in the user's configuration folder (`LADING_CONFIG` names another); a variable wins.
Its table `[mirrors]` says where a registry's images are had from: `"docker.io" = "registry.example.com/hub"`;
`[bases]` which base is taken for an image: `"mcr.microsoft.com/azureml/*" = "debian:bookworm"`;
`[registries]` and `[workspaces]` where assets are shared: `team = "registry.example.com/team/ml"`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lading.core import canonical
from lading.core.errors import Issue, SpecError
from lading.core.reference import Reference

# key in the file → (variable, what it is for)
KEYS = {
    "home": ("LADING_HOME", "folder of the store and the caches"),
    "debian_mirror": ("LADING_DEBIAN_MIRROR", "mirror of Debian packages"),
    "ubuntu_mirror": ("LADING_UBUNTU_MIRROR", "mirror of Ubuntu packages"),
    "pytorch_index": ("LADING_PYTORCH_INDEX", "mirror of PyTorch's indexes, a folder for each accelerator"),
    "sandbox": ("LADING_SANDBOX", "sandbox to verify in: unshare, bwrap, podman or docker"),
    "workspace": ("LADING_WORKSPACE", "workspace of assets: one declared, registry/path or a folder"),
}
MIRRORS = "mirrors"
BASES = "bases"
REGISTRIES = "registries"
WORKSPACES = "workspaces"
TABLES = (MIRRORS, BASES, REGISTRIES, WORKSPACES)
DECLARED = "registries.json"
"""The file in the home with the registries that `lading registry create` declared."""
MIRRORS_VARIABLE = "LADING_MIRRORS"
BASES_VARIABLE = "LADING_BASES"


@dataclass(frozen=True, slots=True)
class RegistryMirror:
    """A registry, and a path in it, under which another registry's images are had."""

    registry: str
    path: str = ""
    plain_http: bool = False

    @classmethod
    def parse(cls, text: str) -> RegistryMirror:
        """Read `[http://]registry[/path]`; raise SpecError for anything else."""
        scheme, _, bare = text.rpartition("://")
        try:
            read = Reference.parse(f"{bare.rstrip('/')}/x")
        except SpecError:
            read = None
        if read is None or read.registry is None or scheme not in {"", "http", "https"}:
            got = "a text with '@'" if "@" in text else repr(text)  # before it may stand a password
            what = f"got {got}, expected a registry and perhaps a path, such as 'registry.example.com/hub'"
            raise SpecError(Issue("mirror", what))
        return cls(read.registry, read.repository.rpartition("/")[0], scheme == "http")

    def of(self, reference: Reference) -> Reference:
        """Say what an image is called in this mirror."""
        path = f"{self.path}/" if self.path else ""
        return replace(reference, registry=self.registry, repository=path + reference.repository)


@dataclass(frozen=True, slots=True)
class Place:
    """Where assets are kept: a folder, or a path in a registry. Law: `str(Place.parse(t)) == t` in full."""

    folder: Path | None = None
    repository: RegistryMirror | None = None

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `[http://]registry[/path]` or a folder (`/srv/ml`, `~/ml`, `./ml`); SpecError for others."""
        if text.startswith(("/", "~", "./", "../")):
            return cls(folder=Path(text).expanduser().absolute())
        try:
            return cls(repository=RegistryMirror.parse(text))
        except SpecError as error:
            what = error.issues[0].what.replace("hub'", "ml', or a folder, such as './ml'")
            raise SpecError(Issue("place", what)) from error

    def __str__(self) -> str:
        """Print it as it is parsed."""
        if self.repository is None:
            return str(self.folder)
        scheme = "http://" if self.repository.plain_http else ""
        path = f"/{self.repository.path}" if self.repository.path else ""
        return f"{scheme}{self.repository.registry}{path}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things lie on this machine."""

    home: Path
    debian_mirror: str | None = None
    ubuntu_mirror: str | None = None
    sandbox: str | None = None
    pytorch_index: str | None = None
    mirrors: Mapping[str, tuple[RegistryMirror, ...]] = field(default_factory=dict)
    """By registry, in the order in which they are tried; the registry itself comes last."""
    workspace: str | None = None
    """The workspace at hand, by its name or place; None is the store of this machine."""
    registries: Mapping[str, Place] = field(default_factory=dict)
    workspaces: Mapping[str, Place] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)
    """By an image's name, in which `*` stands for anything: the base that is taken instead."""

    @property
    def store(self) -> Path:
        """The OCI image layout folder."""
        return self.home / "store"

    @property
    def cache(self) -> Path:
        """What can be made again: downloads, layer keys, unpacked layers, locks."""
        return self.home / "cache"


def load(environ: Mapping[str, str] = os.environ, *, home: Path | None = None) -> Settings:
    """Read the settings; raise SpecError with every issue of the configuration file and the variables."""
    path, values = _file(environ)
    issues = [
        Issue(path, f"{key}: got {value!r}, expected text" if key in KEYS else f"{key}: unknown key")
        for key, value in values.items()
        if key not in TABLES and (key not in KEYS or not isinstance(value, str))
    ]
    if issues:
        issues.append(Issue(path, f"known keys: {', '.join((*KEYS, *TABLES))}"))
    mirrors = {}
    for where, table in (
        (path, values.get(MIRRORS, {})),
        (MIRRORS_VARIABLE, _variable(environ, MIRRORS_VARIABLE)),
    ):
        if isinstance(table, dict):
            for registry, given in table.items():
                try:
                    mirrors[_registry(registry)] = tuple(map(RegistryMirror.parse, _texts(given)))
                except SpecError as error:
                    issues += [Issue(where, f"{MIRRORS}: {registry}: {one.what}") for one in error.issues]
        else:
            issues.append(Issue(where, f"{MIRRORS}: got {table!r}, expected a table of registries"))
    bases = _texts_by_name(values.get(BASES, {}), f"{path}: {BASES}", issues)
    workspaces = _places(values.get(WORKSPACES, {}), f"{path}: {WORKSPACES}", issues)
    registries = _places(values.get(REGISTRIES, {}), f"{path}: {REGISTRIES}", issues)
    if issues:
        raise SpecError(*issues)
    given = {key: ways or [""] for key, ways in _variable(environ, BASES_VARIABLE).items()}
    for key, (variable, _) in KEYS.items():
        if environ.get(variable):
            values[key] = environ[variable]
    if home is None and "home" not in values:
        import platformdirs

        home = Path(platformdirs.user_data_dir("lading"))
    home = (home or Path(values["home"])).expanduser().absolute()
    return Settings(
        home=home,
        debian_mirror=values.get("debian_mirror"),
        ubuntu_mirror=values.get("ubuntu_mirror"),
        pytorch_index=values.get("pytorch_index"),
        sandbox=values.get("sandbox"),
        mirrors=mirrors,
        workspace=values.get("workspace"),
        registries={**declared(home), **registries},
        workspaces=workspaces,
        bases={**bases, **{key: one for key, (one, *_) in given.items() if one}},
    )


def declared(home: Path) -> dict[str, Place]:
    """Read the registries that were declared by command; none where no file is."""
    path = home / DECLARED
    try:
        table = canonical.decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SpecError(Issue(str(path), f"cannot be read: {error.strerror}")) from error
    issues: list[Issue] = []
    found = _places(table, str(path), issues)
    if issues:
        raise SpecError(*issues)
    return found


def declare(home: Path, registries: Mapping[str, Place]) -> None:
    """Replace the registries that were declared by command, all at once."""
    home.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=home, prefix=f".{DECLARED}")
    with os.fdopen(handle, "wb") as file:
        file.write(canonical.encode({key: str(place) for key, place in registries.items()}))
    Path(name).replace(home / DECLARED)


def _texts_by_name(table: object, where: str, issues: list[Issue]) -> dict[str, str]:
    if not isinstance(table, dict):
        issues.append(Issue(where, f"got {table!r}, expected a table of texts"))
        return {}
    for key, value in table.items():
        if not isinstance(value, str):
            issues.append(Issue(where, f"{key}: got {value!r}, expected text"))
    return {key: value for key, value in table.items() if isinstance(value, str)}


def _places(table: object, where: str, issues: list[Issue]) -> dict[str, Place]:
    found = {}
    for name, text in _texts_by_name(table, where, issues).items():
        try:
            found[name] = Place.parse(text)
        except SpecError as error:
            issues += [Issue(where, f"{name}: {one.what}") for one in error.issues]
    return found


def _file(environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    path = environ.get("LADING_CONFIG")
    if path is None:
        folder = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config"
        path = str(Path(folder) / "lading" / "config.toml")
        if not Path(path).exists():
            return path, {}
    try:
        return path, _toml(Path(path).read_bytes())
    except OSError as error:
        raise SpecError(Issue(path, f"cannot be read: {error.strerror}")) from error
    except ValueError as error:
        raise SpecError(Issue(path, f"not TOML: {error}")) from error


def _variable(environ: Mapping[str, str], name: str) -> dict[str, list[str]]:
    """Read `docker.io=registry.example.com/hub quay.io=…`; a registry named again has several mirrors.

    One with nothing behind it (`docker.io=`) has none, whatever the file says.
    """
    table: dict[str, list[str]] = {}
    for word in environ.get(name, "").replace(",", " ").split():
        registry, _, mirror = word.partition("=")
        table.setdefault(registry, []).extend([mirror] if mirror else [])
    return table


def _registry(text: str) -> str:
    """Check the name of a registry; Docker's own has several."""
    if "/" in text or Reference.parse(f"{text}/x").registry is None:
        raise SpecError(Issue("registry", f"got {text!r}, expected a registry, such as 'docker.io'"))
    return "docker.io" if text in {"index.docker.io", "registry-1.docker.io"} else text


def _texts(given: object) -> Iterator[str]:
    for one in given if isinstance(given, list) else [given]:
        if not isinstance(one, str):
            raise SpecError(Issue("mirror", f"got {one!r}, expected text, or a list of texts"))
        yield one


def _toml(data: bytes) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    document: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    return document
