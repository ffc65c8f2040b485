"""A registry and a repository → the login that this machine's files and helpers hold for them."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from lading.core.errors import Issue, RegistryError
from lading.core.login import HelperError, Login
from lading.core.ports import Event, Events, ignore
from lading.logins import helper
from lading.logins.document import HUB, HUB_URL, Document, canonical, changing, load


class LoginFiles:
    """Logins where Docker, podman, skopeo and their kin keep them, for many threads.

    Files are read in this order (containers-auth.json(5)), and the first that knows the registry counts:
    `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json`, `$XDG_RUNTIME_DIR/containers/auth.json`,
    `$XDG_CONFIG_HOME/containers/auth.json`, `~/.docker/config.json`, `~/.dockercfg`.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, events: Events = ignore) -> None:
        """Name where to look and who is told of a helper that does not work; nothing is read yet."""
        self._environ = environ
        self._events = events
        self._lock = threading.Lock()
        self._found: dict[tuple[str, str], Login | None] = {}
        self._answers: dict[tuple[str, str], Login | None] = {}
        self._failures: dict[str, Issue] = {}

    def find(self, registry: str, repository: str = "") -> Login | None:
        """Find the login for a registry; None is nobody. The longest namespace that has one counts.

        A helper that is missing, fails or hangs is told in a warning and passed over, as Docker does.
        RegistryError for a malformed file.
        """
        asked = (canonical(registry), repository)
        with self._lock:
            if asked not in self._found:
                self._found[asked] = self._find(*asked)
            return self._found[asked]

    def ask(self, registry: str, repository: str = "") -> Login | None:
        """Find the login as `find` does; HelperError where there is none and a helper does not work."""
        login = self.find(registry, repository)
        if login is None and (issue := self._failures.get(canonical(registry))):
            raise HelperError(issue)
        return login

    def keep(self, name: str, login: Login) -> Path:
        """Keep the login for a registry or a namespace of one; return the file, which may name a helper.

        The file is the one that already knows the registry, or that a variable names, else one that exists,
        else Docker's, which all tools read. RegistryError where the helper or the disk refuses.
        """
        name = canonical(name)
        path = self._target(name)
        with changing(path) as document:
            program = document.helper(name) if "/" not in name else None
            if program:
                helper.store(program, _server(name), login)
            secret = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
            entry = {"auth": secret}
            if login.identity_token:
                entry["identitytoken"] = login.identity_token
            found = document.entry(name)
            key = found[0] if found else _key(name, path)
            document.values.setdefault("auths", {})[key] = {} if program else entry
        self._reset()
        return path

    def forget(self, name: str) -> list[Path]:
        """Forget the login for a registry or a namespace in every file; return those that knew one."""
        name = canonical(name)
        changed = []
        for path, is_legacy in self._paths():
            document = load(path, is_legacy=is_legacy)
            program = document.helper(name) if "/" not in name else None
            is_known = document.entry(name) is not None
            # a helper that does not work, for a registry that its file does not list, is no hindrance
            if program and (is_known or self._ask(document, name)):
                helper.erase(program, _server(name))
                is_known = True
            if is_known:
                with changing(path, is_legacy=is_legacy) as document:
                    while found := document.entry(name):
                        del document.auths[found[0]]
                changed.append(path)
        self._reset()
        return changed

    def _find(self, registry: str, repository: str) -> Login | None:
        names = [registry]
        for part in filter(None, repository.split("/")):
            names.insert(0, f"{names[0]}/{part}")
        for path, is_legacy in self._paths():
            document = load(path, is_legacy=is_legacy)
            if login := self._ask(document, registry):
                return login
            for name in names:
                found = document.entry(name)
                if found and (login := document.login(*found)):
                    return login
        return None

    def _ask(self, document: Document, registry: str) -> Login | None:
        """Ask the helper that a file names, if any; once, as it may take seconds."""
        program = document.helper(registry)
        if program is None:
            return None
        asked = (program, registry)
        if asked not in self._answers:
            try:
                self._answers[asked] = helper.get(program, _server(registry))
            except RegistryError as error:
                self._answers[asked] = None
                self._failures[registry] = error.issues[0]
                self._events(Event("login", "warning", str(error).replace("\n  fix:", ";")))
        return self._answers[asked]

    def _reset(self) -> None:
        with self._lock:
            self._found.clear()
            self._answers.clear()
            self._failures.clear()

    def _target(self, name: str) -> Path:
        paths = [path for path, is_legacy in self._paths() if not is_legacy]
        if self._environ.get("REGISTRY_AUTH_FILE") or self._environ.get("DOCKER_CONFIG"):
            return paths[0]
        for path in paths:
            if load(path).has(name):
                return path
        # Docker's own is read by every tool, so it comes before the other files that exist
        return next((path for path in (paths[-1], *paths) if path.is_file()), paths[-1])

    def _paths(self) -> Iterator[tuple[Path, bool]]:
        """List the files in order, each with whether it is of the oldest form."""
        environ = self._environ
        home = Path(environ.get("HOME") or "/")
        runtime = environ.get("XDG_RUNTIME_DIR")
        if named := environ.get("REGISTRY_AUTH_FILE"):
            yield Path(named), False
        if docker := environ.get("DOCKER_CONFIG"):
            yield Path(docker) / "config.json", False
        containers = Path(runtime) / "containers" if runtime else Path(f"/run/containers/{os.getuid()}")
        yield containers / "auth.json", False
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json", False
        if not docker:
            yield home / ".docker" / "config.json", False
        yield home / ".dockercfg", True


def _server(registry: str) -> str:
    """Say how helpers call a registry."""
    return HUB_URL if registry == HUB else registry


def _key(name: str, path: Path) -> str:
    """Say how the tool whose file this is calls a registry."""
    return HUB_URL if name == HUB and path.name == "config.json" else name
