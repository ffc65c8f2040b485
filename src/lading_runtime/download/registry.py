"""An OCI registry's blob in, its bytes out (OCI distribution spec, "Pulling blobs"; Docker's tokens)."""

from __future__ import annotations

import base64
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from lading_runtime.download import web
from lading_runtime.download.failure import FetchError
from lading_runtime.download.wanted import File

_PLACE = re.compile(r"oci://(?P<host>[^/@?#]+)/(?P<path>[a-z0-9._/-]+)(?:@sha256:[0-9a-f]{64})?\Z")
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_MOST_TOKEN_BYTES = 1 << 20
_HUB = ("docker.io", "registry-1.docker.io", "https://index.docker.io/v1/")
_FILES = (
    "$REGISTRY_AUTH_FILE",
    "$DOCKER_CONFIG/config.json",
    "$XDG_RUNTIME_DIR/containers/auth.json",
    "/run/lading/docker/config.json",
    "$HOME/.docker/config.json",
)


class Repository:
    """A repository that has each file as a blob, by its digest."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        """Read `oci://HOST/PATH[@sha256:…]`; the digest is of the artefact that keeps the blobs there."""
        found = _PLACE.match(text)
        if found is None:
            raise FetchError(f"got source {web.public(text)!r}, expected oci://HOST/PATH", final=True)
        self._host, self._path = found["host"], found["path"]
        self.name = f"{self._host}/{self._path}"
        self._environ = environ
        plain = environ.get("LADING_INSECURE_REGISTRIES", "").replace(",", " ").split()
        scheme = "http" if web.is_loopback(self._host) or self._host in plain else "https"
        host = _HUB[1] if self._host == _HUB[0] else self._host
        self._base = f"{scheme}://{host}/v2/{self._path}"
        self._lock = threading.Lock()
        self._authorization = ""

    def get(self, file: File, start: int, end: int) -> web.Body:
        """Open bytes [start, end) of a file, with a token where one is asked for."""
        url = f"{self._base}/blobs/{file.digest}"
        used = self._authorization
        try:
            return web.get(url, start, end, file.size_bytes, self._headers(used))
        except web.Refused as error:
            if error.status != 401:
                raise
            with self._lock:
                if self._authorization == used:
                    self._authorization = self._authorize(error, url)
        return web.get(url, start, end, file.size_bytes, self._headers(self._authorization))

    @staticmethod
    def _headers(authorization: str) -> dict[str, str]:
        return {"Authorization": authorization} if authorization else {}

    def _authorize(self, refused: web.Refused, url: str) -> str:
        """Return what the registry's challenge asks for."""
        challenge = next((v for k, v in refused.headers.items() if k.lower() == "www-authenticate"), "")
        kind, _, rest = challenge.partition(" ")
        login = self._login()
        if kind.lower() == "basic":
            if login is None or not web.is_private(url):
                raise refused
            return f"Basic {login}"
        told = dict(_CHALLENGE.findall(rest))
        realm = told.get("realm", "")
        if kind.lower() != "bearer" or urllib.parse.urlsplit(realm).scheme not in {"http", "https"}:
            raise refused
        query = {"service": told.get("service", ""), "scope": f"repository:{self._path}:pull"}
        headers = {"Authorization": f"Basic {login}"} if login and web.is_private(realm) else {}
        mark = "&" if "?" in realm else "?"
        with web.request(f"{realm}{mark}{urllib.parse.urlencode(query)}", headers) as answer:
            text = answer.read(_MOST_TOKEN_BYTES)
        try:
            document = json.loads(text)
            return f"Bearer {document.get('token') or document['access_token']}"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FetchError(f"{web.public(realm)} gave no token") from error

    def _login(self) -> str | None:
        """Return `user:password` in base64: from the variables, else from Docker's and podman's files."""
        if found := basic(self._environ):
            return found
        for document, path in _documents(self._environ):
            if found := _entry(document, self._host, self._path, path):
                return found
        return None


def basic(environ: Mapping[str, str]) -> str | None:
    """Return the variables' user and password in base64; each may be in a file that `…_FILE` names."""
    user, password = secret(environ, "LADING_SOURCE_USERNAME"), secret(environ, "LADING_SOURCE_PASSWORD")
    return base64.b64encode(f"{user}:{password}".encode()).decode() if user or password else None


def secret(environ: Mapping[str, str], name: str) -> str:
    """Read a variable, or the file that `NAME_FILE` names; FetchError where that cannot be read."""
    path = environ.get(f"{name}_FILE")
    if not path:
        return environ.get(name, "")
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read(1 << 16).strip()
    except (OSError, ValueError) as error:
        raise FetchError(f"{name}_FILE={path}: {web.reason(error)}", final=True) from error


def _documents(environ: Mapping[str, str]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for template in _FILES:
        variable, _, rest = template.partition("/") if template.startswith("$") else ("", "", "")
        folder = environ.get(variable[1:], "") if variable else ""
        if variable and not folder:
            continue
        path = (f"{folder}/{rest}" if rest else folder) if variable else template
        try:
            with open(path, encoding="utf-8") as stream:
                document = json.load(stream)
        except OSError:
            continue
        except ValueError as error:
            raise FetchError(f"{path}: not JSON", final=True) from error
        if isinstance(document, dict):
            yield document, path


def _entry(document: Mapping[str, Any], host: str, repository: str, path: str) -> str | None:
    """Find the entry of the longest namespace (`quay.io/team`) that has one."""
    entries = document.get("auths") or {}
    parts = repository.split("/")
    names = ["/".join((host, *parts[:count])) for count in range(len(parts), -1, -1)]
    names += [f"https://{host}", f"https://{host}/", *(_HUB[1:] if host == _HUB[0] else ())]
    for name in names:
        entry = entries.get(name)
        if not isinstance(entry, dict):
            continue
        if entry.get("auth"):
            return str(entry["auth"])
        if entry.get("username"):
            text = f"{entry['username']}:{entry.get('password', '')}"
            return base64.b64encode(text.encode()).decode()
    helpers = document.get("credHelpers") or {}
    if host in helpers or document.get("credsStore"):
        what = f"{path}: the login of {host} is with a credential helper, which a package has not got"
        raise FetchError(what, "give LADING_SOURCE_USERNAME and LADING_SOURCE_PASSWORD", final=True)
    return None
