"""MLflow's variables and a URI in; the model's file or folder on this machine, and its record, out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lading.core.errors import Issue, RegistryError, without_secrets
from lading.core.ports import Event, Events
from lading.core.tracked import ModelURI, Record
from lading.http.client import origin, public
from lading.tracking import objects, resolve, stores
from lading.tracking.cache import Cache, DigestOf
from lading.tracking.files import Files
from lading.tracking.kept import Store
from lading.tracking.resolve import Found, local_path
from lading.tracking.served import PROXY, OfModel, OfRun, Proxied
from lading.tracking.server import Server


class OfflineError(RegistryError):
    """What is wanted is on another machine, and none may be asked."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A model on this machine."""

    path: Path
    """A file or folder: in a cache, or where a local store keeps it."""
    record: Record
    is_cached: bool
    called: str
    """What people would call it."""


class Tracking:
    """The tracking server, and the registry, that the environment names."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        digest_of: DigestOf,
        events: Events,
        *,
        offline: bool = False,
    ) -> None:
        """Keep artifacts below a folder; nothing is asked yet. `offline`, nobody is asked at all."""
        self._environ, self._events, self._offline = environ, events, offline
        self._cache = Cache(folder, digest_of, events)

    def bring(self, uri: ModelURI) -> Brought:
        """Have a model here; RegistryError where it cannot be had, IntegrityError for what is not as told."""
        with ExitStack() as stack:
            is_alone = uri.asked == "artifacts" and bool(uri.which)
            named = self._opened(stores.TRACKING, stack)
            registry = self._opened(stores.REGISTRY, stack) or named
            tracking = named or registry
            if (tracking is None or registry is None) and not is_alone:
                fix = f"set {stores.TRACKING} to {stores.FORMS}"
                raise RegistryError(
                    Issue(str(uri), "no tracking server is named, and there is no store here", fix)
                )
            if tracking is None or registry is None:
                found = Found(uri.text, None, Record(uri.text, location=uri.text))
            else:
                found = resolve.find(uri, tracking, registry)
            self._events(Event("model", "stage", _told(found.record)))
            called = _called(uri, found)
            if (path := _local(found)) is not None:
                return Brought(path, found.record, is_cached=False, called=called)
            files, place = self._files(found, tracking, stack)
            return Brought(
                self._cache.provide(files, place, called), found.record, is_cached=True, called=called
            )

    def _opened(self, variable: str, stack: ExitStack) -> Store | None:
        text = self._environ.get(variable, "").strip()
        if text.startswith(("http://", "https://")):
            return self._server(text, stack, is_own=True)
        return stores.local(variable, text)

    def _server(self, url: str, stack: ExitStack, *, is_own: bool) -> Server:
        self._reach(url)
        server = Server(url, self._environ, self._events, is_own=is_own)
        stack.callback(server.close)
        return server

    def _files(self, found: Found, tracking: Store | None, stack: ExitStack) -> tuple[Files, str]:
        """Say who has the artifacts, and by which path."""
        parts = urlsplit(found.location)
        server = tracking if isinstance(tracking, Server) else None
        if parts.scheme == "mlflow-artifacts":
            # a registry's own proxy, where runs are kept on this machine
            told_by = found.told_by if isinstance(found.told_by, Server) else None
            return self._proxied(found, server or told_by, stack)
        if parts.scheme in objects.SCHEMES:
            self._reach(found.location)
            # as it stands: MLflow's URIs are not quoted, and may hold what would begin a query
            path = found.location.partition("://")[2].partition("/")[2]
            return objects.Bucket(found.location, self._environ), path.strip("/")
        if parts.scheme in {"http", "https"} and (at := found.location.find(PROXY)) > 0:
            base, path = found.location[:at], unquote(urlsplit(found.location[at:]).path)[len(PROXY) :]
            is_own = server is not None and origin(base) == origin(server.base)
            opened = self._server(base, stack, is_own=is_own)
            return Proxied(opened, opened.name), path.strip("/")
        if server and found.model_id and parts.scheme in {"", "file"}:
            return OfModel(server, found.model_id), found.path
        if server and found.run_id and parts.scheme in {"", "file"}:
            return OfRun(server, found.run_id), found.path
        shown = without_secrets(found.location.partition("?")[0])
        what = f"its artifacts are at {shown!r}, which cannot be reached from here"
        if parts.scheme in {"", "file"}:
            what = f"its artifacts are at {shown!r}, on the machine of whoever registered it"
        raise RegistryError(Issue(found.record.asked, what, "download them there, and name their folder"))

    def _proxied(self, found: Found, server: Server | None, stack: ExitStack) -> tuple[Files, str]:
        """Find the server of `mlflow-artifacts:`; only one that its user names is told who that is."""
        place = ModelURI.parse(found.location)
        host = place.which
        if not host and server is None:
            what = f"its artifacts are at {found.location!r}, which only a server can hand out"
            fix = f"set {stores.TRACKING} to the URL of the server that keeps them"
            raise RegistryError(Issue(found.record.asked, what, fix))
        if host and (server is None or urlsplit(server.base).netloc != host):
            base = urlsplit(server.base if server else f"https://{host}")
            is_asked = found.location == found.record.asked
            server = self._server(f"{base.scheme}://{host}{base.path}", stack, is_own=is_asked)
        assert server is not None
        return Proxied(server, f"{server.name} mlflow-artifacts:"), place.path

    def _reach(self, where: str) -> None:
        """Raise OfflineError where nothing may be reached."""
        if self._offline:
            what = "is out of reach offline"
            raise OfflineError(Issue(public(where), what, "run once without --offline"))


def _local(found: Found) -> Path | None:
    """Return the place in a local store; None for what is elsewhere, or a server says is here."""
    scheme = urlsplit(found.location).scheme
    if scheme not in {"", "file"} or not (found.told_by and found.told_by.is_local):
        return None
    path = Path(local_path(found.location)).absolute()
    if not path.exists():
        what = f"{str(path)!r}, which {found.told_by.name} names, does not exist"
        fix = "was it kept on another machine, or moved? then name the server, or the folder itself"
        raise RegistryError(Issue(found.record.asked, what, fix))
    return path


def _called(uri: ModelURI, found: Found) -> str:
    """Name a file or folder after the model, in letters that every place takes."""
    word = found.record.name or (uri.called if uri.asked in {"run", "artifacts"} else "")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", word or uri.called).strip(".-")[:64]
    return name or "model"


def _told(record: Record) -> str:
    words = [f"version {record.version} of {record.name}" if record.name else "", record.model_id or ""]
    words.append(f"run {record.run_id}" if record.run_id else "")
    said = ", ".join(filter(None, words))
    return f"{record.asked}{f' is {said}' if said else ''}"
