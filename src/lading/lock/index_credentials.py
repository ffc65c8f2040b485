"""The indexes of the spec and of this machine → who to be on which host, for the downloads after uv's answer.

uv finds credentials for itself; the wheels it names are fetched by lading, which has to know the same.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

from lading.core.errors import LockError
from lading.core.spec import Indexes
from lading.lock import toml
from lading.lock.indexes import pip_places, uv_files

_NAMED = re.compile(r"([A-Za-z0-9._-]+)=(?=[a-z]+://)")
_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_KEYRING_S = 30.0


def by_host(indexes: Indexes, environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return user and password by host (`host:port` where a port is named), as uv would use them.

    From `UV_INDEX_<NAME>_USERNAME` and `_PASSWORD`, from URLs in variables and in uv's and pip's files, and
    from the `keyring` command where `UV_KEYRING_PROVIDER=subprocess`. netrc is the downloader's own affair.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, url in _places(indexes, environ):
        try:
            parts = urlsplit(url)
        except ValueError:
            continue
        stem = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper()) if name else ""
        user = environ.get(f"{stem}_USERNAME") or unquote(parts.username or "")
        password = environ.get(f"{stem}_PASSWORD") or unquote(parts.password or "")
        host = parts.netloc.rpartition("@")[2]
        if user and not password and environ.get("UV_KEYRING_PROVIDER") == "subprocess":
            password = (
                _ask_keyring(parts._replace(netloc=host).geturl(), user) or _ask_keyring(host, user) or ""
            )
        if host and (user or password):
            found.setdefault(host, (user, password))
    return found


def _places(indexes: Indexes, environ: Mapping[str, str]) -> Iterator[tuple[str | None, str]]:
    """List indexes and places of wheels with their names, the spec's first."""
    texts = [*filter(None, (indexes.url,)), *indexes.extra]
    for variable in _VARIABLES:
        texts += environ.get(variable, "").replace(",", " ").split()
    pip = pip_places(environ)
    texts += [*filter(None, (pip.url,)), *pip.find_links]
    for text in texts:
        match = _NAMED.match(text)
        yield (match[1], text[match.end() :]) if match else (None, text)
    for path in uv_files(environ):
        try:
            entries = toml.parse(path.read_bytes(), path.name).get("index")
        except (OSError, LockError):
            continue  # uv itself says what is wrong with its file
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("url"), str):
                yield entry.get("name"), entry["url"]


def _ask_keyring(service: str, user: str) -> str | None:
    """Ask the `keyring` command, as uv does; None where it knows nothing."""
    program = shutil.which("keyring")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "get", service, user], capture_output=True, text=True, timeout=_KEYRING_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
