"""A request to one registry → its answer: scheme, login, retries and refusals (OCI distribution spec 1.1)."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, RegistryError
from lading.core.login import Logins
from lading.core.ports import Events
from lading.http.client import Body, Client, NotSpoken, Response, origin, public
from lading.http.patience import Patience
from lading.store.authorization import Authorization
from lading.store.documents import LIMIT_BYTES

_T = TypeVar("_T")
_CERTIFICATES = (
    Path("~/.config/containers/certs.d"),
    Path("/etc/containers/certs.d"),
    Path("/etc/docker/certs.d"),
)
_FIRST_ATTEMPTS = 3
_LONGEST_MESSAGE = 300
DAMAGED = (
    "try again; if it stays so, it is damaged there: have it removed from the registry's storage "
    "(pushing does not replace it), then push it again"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with a small body."""

    status: int
    url: str
    headers: Mapping[str, str]
    links: Mapping[str, str]
    line: str
    body: bytes

    def tags(self) -> list[str]:
        """Read a page of a tag list; RegistryError where it is none."""
        try:
            tags = json.loads(self.body)["tags"] or []
        except (ValueError, KeyError, TypeError):
            tags = None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise RegistryError(Issue(public(self.url), "answers with no list of tags"))
        return tags


class RegistryApi:
    """One registry, as `host` or `host:port`; threads share it."""

    def __init__(
        self,
        registry: str,
        *,
        logins: Logins,
        plain_http: bool,
        events: Events,
        attempts: int,
        backoff_s: float,
    ) -> None:
        """Name the registry; nothing is asked yet."""
        self.registry = registry
        self._is_plain = plain_http
        self._is_loopback = is_loopback(registry)
        folder = _certificates(registry)
        self._client = Client(
            # no proxy knows this machine's loopback
            proxies={registry: None} if self._is_loopback else {},
            certificates={registry: folder} if folder else {},
            distrust=f"name its CA in SSL_CERT_FILE, or in ~/.config/containers/certs.d/{registry}/ca.crt",
            unreached="check the name and the port, whether a registry listens there, network and proxies",
        )
        self._authorization = Authorization(self._client, registry, lambda: self._base or "", logins)
        self._patience = Patience("registry", events, attempts, backoff_s, longest_wait_s=120.0)
        self._first = Patience("registry", events, min(attempts, _FIRST_ATTEMPTS), backoff_s)
        self._lock = threading.Lock()
        self._base: str | None = None

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._client.close()

    def persist(self, path: str, attempt: Callable[[], _T], reached: Callable[[], int] = lambda: 0) -> _T:
        """Repeat an attempt while what fails may pass."""
        return self._patience.persist(self.url(path), attempt, reached)

    def url(self, path: str) -> str:
        """Return the URL of a path below /v2/, or of a location that the registry gave."""
        with self._lock:
            if self._base is None:
                self._base = self._first.persist(self.registry, self._find)
            return urljoin(self._base, path)

    def call(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        final: Container[int] = (),
    ) -> Answer:
        """Ask for something small, again and again while what fails may pass.

        A status that is `final` or below 500 is the caller's to judge, but 401 and 403; RegistryError where
        the registry denies access or cannot be reached.
        """

        def attempt() -> Answer:
            with self.send(method, path, scopes, headers=headers or {}, body=body, final=final) as response:
                return self.read(response)

        return self.persist(path, attempt)

    def read(self, response: Response) -> Answer:
        """Read an answer whose body is small; RegistryError where it is not."""
        body = b"" if response.status in {204, 304} else response.text(LIMIT_BYTES)
        if body is None:
            what = f"answers with more than {LIMIT_BYTES} bytes"
            raise RegistryError(Issue(public(response.url), what))
        return Answer(
            response.status, response.url, dict(response.headers), response.links, response.line, body
        )

    @contextmanager
    def send(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        *,
        headers: Mapping[str, str],
        body: Body | None = None,
        answer_within_s: float = 60.0,
        final: Container[int] = (),
    ) -> Iterator[Response]:
        """Ask, and again with a login or a new token where one is wanted; Transient for what may pass."""
        url = self.url(path)
        home = origin(self.url(""))
        wanted: frozenset[str] = frozenset(scopes)
        for is_last in (False, False, True):
            login = self._authorization.header(wanted)

            def authorize(target: str, login: Mapping[str, str] = login) -> tuple[str, Mapping[str, str]]:
                return target, login if origin(target) == home else {}

            with self._client.send(
                method,
                url,
                headers,
                body=body,
                authorize=authorize,
                answer_within_s=answer_within_s,
                final=final,
            ) as response:
                if response.status == 401:
                    again = None if is_last else self._authorization.challenged(response, wanted, login)
                    if again is None:
                        raise self._authorization.refused("the registry denies access")
                    wanted = again
                    continue
                if response.status == 403:
                    what = self.told(self.read(response), "the registry denies access")
                    raise self._authorization.refused(what)
                yield response
                return

    def told(self, answer: Answer, what: str) -> str:
        """Add to what is wrong the registry's own words, without secrets."""
        try:
            errors = json.loads(answer.body)["errors"]
            words = "; ".join(f"{one['code']}: {one['message']}" for one in errors)
        except (ValueError, KeyError, TypeError):
            words = answer.line
        for secret in self._authorization.secrets():
            words = words.replace(secret, "***")
        words = " ".join(words.split())
        return f"{what} ({words[:_LONGEST_MESSAGE]})"

    def refusal(self, answer: Answer, what: str, fix: str | None = None) -> RegistryError:
        """Say what the registry refused."""
        return RegistryError(Issue(public(answer.url), self.told(answer, what), fix))

    def damaged(self, repository: str, digest: Digest, what: str) -> IntegrityError:
        """Say that a repository has other bytes under a digest than it should."""
        return IntegrityError(Issue(str(digest), f"{self.registry}/{repository} {what}", DAMAGED))

    def _find(self) -> str:
        """Find out whether the registry speaks TLS; only loopback, or one asked for, may do without."""
        if self._is_plain:
            return f"http://{self.registry}/v2/"
        base = f"https://{self.registry}/v2/"
        try:
            with self._client.send("GET", base, {}) as response:
                if response.status == 401:
                    self._authorization.challenged(response, (), {})
                return base
        except NotSpoken as error:
            if self._is_loopback:
                return f"http://{self.registry}/v2/"
            what = "speaks plain HTTP, where everybody on the way reads and changes what is sent"
            raise RegistryError(Issue(self.registry, what, "if you mean it: --plain-http")) from error


def scopes(repository: str, actions: str) -> tuple[str, ...]:
    """Name what is to be done, as token services have it (Distribution, docs/spec/auth/scope.md)."""
    return (f"repository:{repository}:{actions}",)


def is_loopback(registry: str) -> bool:
    """Tell whether a registry is on this machine.

    >>> [is_loopback(one) for one in ("localhost:5000", "127.0.0.9", "[::1]:80", "example.org")]
    [True, True, True, False]
    """
    host = registry.rpartition(":")[0] if registry.rpartition("]")[2].count(":") else registry
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _certificates(registry: str) -> Path | None:
    """Return the folder in which a container engine has further certificates for a registry."""
    for folder in _CERTIFICATES:
        # who may not look there, or has no home, has none
        with suppress(OSError, RuntimeError):
            path = folder.expanduser() / registry
            if path.is_dir():
                return path
    return None
