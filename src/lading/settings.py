"""The environment and the configuration file go in, settings come out.

The file is `config.toml` in the user's configuration folder (`LADING_CONFIG` names another); a variable wins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, SpecError

# key in the file → (variable, what it is for)
KEYS = {
    "home": ("LADING_HOME", "folder of the store and the caches"),
    "debian_mirror": ("LADING_DEBIAN_MIRROR", "mirror of Debian packages"),
    "sandbox": ("LADING_SANDBOX", "sandbox to verify in: unshare, bwrap, podman or docker"),
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things lie on this machine."""

    home: Path
    debian_mirror: str | None = None
    sandbox: str | None = None

    @property
    def store(self) -> Path:
        """The OCI image layout folder."""
        return self.home / "store"

    @property
    def cache(self) -> Path:
        """What can be made again: downloads, layer keys, unpacked layers, locks."""
        return self.home / "cache"


def load(environ: Mapping[str, str] = os.environ, *, home: Path | None = None) -> Settings:
    """Read the settings; raise SpecError with every unknown key of the configuration file."""
    values = _file(environ)
    for key, (variable, _) in KEYS.items():
        if environ.get(variable):
            values[key] = environ[variable]
    if home is None and "home" not in values:
        import platformdirs

        home = Path(platformdirs.user_data_dir("lading"))
    return Settings(
        home=(home or Path(values["home"])).expanduser().absolute(),
        debian_mirror=values.get("debian_mirror"),
        sandbox=values.get("sandbox"),
    )


def _file(environ: Mapping[str, str]) -> dict[str, str]:
    path = environ.get("LADING_CONFIG")
    if path is None:
        folder = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or "/") / ".config"
        path = str(Path(folder) / "lading" / "config.toml")
        if not Path(path).exists():
            return {}
    try:
        document = _toml(Path(path).read_bytes())
    except OSError as error:
        raise SpecError(Issue(path, f"cannot be read: {error.strerror}")) from error
    except ValueError as error:
        raise SpecError(Issue(path, f"not TOML: {error}")) from error
    issues = [
        Issue(path, f"{key}: got {value!r}, expected text" if key in KEYS else f"{key}: unknown key")
        for key, value in document.items()
        if key not in KEYS or not isinstance(value, str)
    ]
    if issues:
        raise SpecError(*issues, Issue(path, f"known keys: {', '.join(KEYS)}"))
    return document


def _toml(data: bytes) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    document: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    return document
