"""Settings go in; the store, the downloads and the mirror come out, each made when it is first asked for."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from lading.core.errors import Issue, RegistryError, VerifyError
from lading.core.image import Layer
from lading.core.lock import BaseFacts, Interpreter, LockedBase, LockedDeb
from lading.core.login import Login, Logins
from lading.core.platform import Platform
from lading.core.ports import Events, Sandbox, ignore
from lading.core.reference import Reference
from lading.core.spec import Indexes
from lading.fetch import HttpFetch
from lading.image.describe import USER
from lading.layers import FileDigests, FolderCache
from lading.lock import archives, debian
from lading.lock.debian_mirror import Mirror, find_mirror
from lading.lock.index_credentials import by_host
from lading.logins import LoginFiles
from lading.pipeline.connected import Connected
from lading.pipeline.mend import dropping_damaged
from lading.sandbox import choose as choose_sandbox
from lading.sandbox import open as open_sandbox
from lading.settings import Settings
from lading.store import LayoutStore, RegistryStore
from lading.store.disk import translated

_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HUB_HOST = "registry-1.docker.io"
"""Where Docker's own registry really is."""

P = ParamSpec("P")
R = TypeVar("R")


def keeping(function: Callable[Concatenate[Context, P], R]) -> Callable[Concatenate[Context, P], R]:
    """Wrap work that relies on what it has found in the store and the caches: nothing of it is collected."""

    @wraps(function)
    def kept(context: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with context.store.keeping():
            return function(context, *args, **kwargs)

    return kept


class Context:
    """One run of the pipeline on this machine."""

    def __init__(self, settings: Settings, events: Events = ignore, *, offline: bool = False) -> None:
        """Name where things lie and who is told; nothing is opened yet."""
        self.settings = settings
        self.events = events
        self.offline = offline
        self._fetches: dict[Indexes, HttpFetch] = {}
        self._opened: list[HttpFetch | RegistryStore] = []
        self._held: dict[Path, int] = {}

    def close(self) -> None:
        """Close connections; a later call opens new ones."""
        for one in self._opened:
            one.close()
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()

    def hold(self, folder: Path) -> None:
        """Keep a folder of a cache from being cleared as long as this context is open."""
        if folder not in self._held:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self._held[folder] = descriptor

    def __enter__(self) -> Context:  # noqa: PYI034 Self needs Python 3.11
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close connections."""
        self.close()

    def opened(self, store: RegistryStore) -> RegistryStore:
        """Have a repository closed with the rest."""
        self._opened.append(store)
        return store

    def apart(self, folder: Path) -> Context:
        """Return a context whose store, layers and digests are its own, below a folder."""
        other = Context(self.settings, self.events, offline=self.offline)
        other.store = LayoutStore(folder / "store")
        other.layers = FolderCache(folder / "layers", other.store)
        other.digests = FileDigests(folder / "digests")
        return other

    @cached_property
    def environ(self) -> dict[str, str]:
        """This process's variables; where uv's own cache cannot be written, it is kept with lading's."""
        environ = dict(os.environ)
        folder = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/") / ".cache")
        near = next(path for path in (folder, *folder.parents) if path.exists())
        if "UV_CACHE_DIR" not in environ and not os.access(near, os.W_OK):
            environ["UV_CACHE_DIR"] = str(self.settings.cache / "uv")
        return environ

    @cached_property
    def store(self) -> LayoutStore:
        """The store of this machine."""
        return LayoutStore(self.settings.store)

    @cached_property
    def layers(self) -> FolderCache:
        """The layers of the store, by what they were made from."""
        return FolderCache(self.settings.cache / "layers", self.store)

    @cached_property
    def digests(self) -> FileDigests:
        """The digests of files, remembered while the files stay as they are."""
        return FileDigests(self.settings.cache / "digests")

    @cached_property
    def mirror(self) -> Mirror:
        """The Debian mirror; LockError where none is known."""
        return find_mirror(self.settings.debian_mirror)

    def fetch(self, indexes: Indexes) -> HttpFetch:
        """Downloads, kept by digest, with the credentials of these indexes and this machine's."""
        if indexes not in self._fetches:
            self._fetches[indexes] = self._open(by_host(indexes, os.environ), {})
        return self._fetches[indexes]

    @cached_property
    def fetch_debian(self) -> HttpFetch:
        """Downloads from the Debian mirror."""
        return self.fetch_from(self.mirror)

    def fetch_from(self, mirror: Mirror) -> HttpFetch:
        """Downloads from a mirror, through apt's proxies and with its credentials."""
        return self._open(mirror.credentials, mirror.proxies)

    def _open(self, credentials: Mapping[str, tuple[str, str]], proxies: Mapping[str, str]) -> HttpFetch:
        fetch = HttpFetch(
            self.settings.cache / "downloads",
            offline=self.offline,
            events=self.events,
            credentials=credentials,
            proxies=proxies,
            ask=self.connected.feed,
        )
        self._opened.append(fetch)
        return fetch

    @cached_property
    def logins(self) -> LoginFiles:
        """Who this user is to registries, as Docker and the containers tools know it."""
        return LoginFiles(os.environ, self.events)

    @cached_property
    def connected(self) -> Connected:
        """Who this user is, by connections."""
        return Connected(self.settings.home, os.environ)

    def _login(self, registry: str, repository: str) -> Login | None:
        """Find a login: a connection's, which is of this home alone, before everybody's files."""
        return self.connected.registry(registry, repository) or self.logins.ask(registry, repository)

    def registry(
        self, reference: Reference, *, plain_http: bool = False, logins: Logins | None = None
    ) -> RegistryStore:
        """Open a repository of a registry; nothing is sent yet. RegistryError offline."""
        there = in_full(reference)
        assert there.registry, reference
        if self.offline:
            what = "is a registry, and registries are out of reach offline"
            raise RegistryError(Issue(there.registry, what, "leave out --offline"))
        return RegistryStore(
            there.registry,
            there.repository,
            logins=logins or (lambda registry: self._login(registry, there.repository)),
            plain_http=plain_http,
            notes=self.layers,
            events=self.events,
        )

    def base(self, reference: str, platform: Platform, *, system_packages: Sequence[str] = ()) -> BaseFacts:
        """Pin a base, and what else is asked for; LockError where it is not known."""
        base = debian.resolve(
            reference.removeprefix("debian:"),
            platform.architecture,
            fetch=self.fetch_debian,
            mirror=self.mirror,
            system_packages=system_packages,
            cache=self.settings.cache / "debian",
        )
        return BaseFacts(base, (debian.interpreter(base),))

    def python(
        self, minors: Sequence[str], platform: Platform, base: LockedBase
    ) -> tuple[LockedBase, Interpreter]:
        """Add a Python to a base: that of an older Debian where it has one, else uv's."""
        for minor in minors:
            added = debian.add_python(
                base,
                minor,
                platform.architecture,
                fetch=self.fetch_debian,
                mirror=self.mirror,
                cache=self.settings.cache / "debian",
            )
            if added:
                return added
        fetch = self.fetch(Indexes())
        found = archives.find(
            minors, platform, base.libc, fetch=fetch, environ=self.environ, events=self.events
        )
        return base, found

    def deb(self, deb: LockedDeb) -> Path:
        """Bring a Debian package here."""
        return debian.download(deb, fetch=self.fetch_debian, mirror=self.mirror)

    def sandbox(
        self,
        layers: tuple[Layer, ...],
        kind: str | None = None,
        *,
        platform: Platform | None = None,
        user: str = USER,
        events: Events | None = None,
    ) -> Sandbox:
        """Open a sandbox on sealed layers, of another platform or with another user where one is named."""
        unpacked = self.settings.cache / "unpacked"
        blobs = [one.descriptor for one in layers]
        with self.store.keeping(), dropping_damaged(self.store, blobs), translated(unpacked):
            for blob in blobs:
                self.store.size_bytes(blob.digest)  # so that none is collected before it is unpacked
            return open_sandbox(
                layers,
                source=self.store,
                unpacked=unpacked,
                kind=kind or self.settings.sandbox,
                platform=platform,
                user=user,
                events=events or self.events,
            )

    def cannot_run(self, platform: Platform, kind: str | None = None) -> Issue | None:
        """Say why packages of another platform than this machine's cannot be run here; None if they can."""
        if platform == Platform.current():
            return None
        unpacked = self.settings.cache / "unpacked"
        try:
            with translated(unpacked):
                choose_sandbox(kind or self.settings.sandbox, unpacked, platform)
        except VerifyError as error:
            return error.issues[0]
        return None


def in_full(reference: Reference) -> Reference:
    """Say where a name in Docker's own registry leads: `docker.io/python` to `library/python` at its host."""
    if reference.registry not in _HUB_NAMES:
        return reference
    repository = reference.repository
    return replace(
        reference, registry=_HUB_HOST, repository=repository if "/" in repository else f"library/{repository}"
    )
