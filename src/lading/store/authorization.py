"""What is to be done in a registry → the `Authorization` header that lets it be done.

Sources: Distribution's token authentication (docs/spec/auth/token.md, oauth.md), RFC 7617 (Basic). A token is
kept for its scope and renewed before it expires, so a push may take longer than a token lasts.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from lading.core.errors import Issue, RegistryError
from lading.core.login import HelperError, Login, Logins
from lading.http.client import Client, Response, Transient, origin, public
from lading.store import challenge
from lading.store.challenge import Challenge

_LIMIT_BYTES = 1 << 20
_SHORTEST_S = 60.0
"""How long a token lasts whose service does not say (token.md, "expires_in")."""
_CLIENT_ID = "lading"


@dataclass(frozen=True, slots=True)
class _Token:
    scopes: frozenset[str]
    text: str
    until_s: float


class Authorization:
    """The way to log in to one registry; threads share it."""

    def __init__(self, client: Client, registry: str, base: Callable[[], str], logins: Logins) -> None:
        """Log in to `registry`, whose URL is `base`; ask for a login only when it wants one."""
        self._client, self._registry, self._base, self._logins = client, registry, base, logins
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._tokens: list[_Token] = []
        self._kept: Login | None = None
        self._was_asked = False
        self._failure: Issue | None = None

    def header(self, scopes: Iterable[str]) -> Mapping[str, str]:
        """Return the header for these scopes; empty as long as nothing was asked for.

        RegistryError where the login is refused, Transient where the token service cannot be reached.
        """
        with self._lock:
            way = self._challenge
            if way is None:
                return {}
            if way.scheme == "basic":
                login = self._login()
                return {} if login is None else _basic(login)
            return {"Authorization": f"Bearer {self._token(way, frozenset(scopes))}"}

    def challenged(
        self, response: Response, scopes: Iterable[str], sent: Mapping[str, str]
    ) -> frozenset[str] | None:
        """Learn from a 401 how to log in; return the scopes to ask with again, None where that is no use.

        `sent` is the header that was refused: a token may have expired, a password stays wrong.
        """
        offered = challenge.parse(response.headers.get("www-authenticate", ""))
        with self._lock:
            for way in offered:
                if way.scheme == "bearer" and "realm" in way.parameters:
                    self._challenge = way
                    wanted = frozenset({*scopes, *way.parameters.get("scope", "").split()})
                    self._tokens = [one for one in self._tokens if not one.scopes & wanted]
                    return wanted
                if way.scheme == "basic" and not sent and self._login() is not None:
                    self._challenge = way
                    return frozenset(scopes)
        return None

    def refused(self, what: str) -> RegistryError:
        """Say that the registry wants a login, or another one."""
        login = self._login()
        if self._failure:
            what = f"{what}, and there is no login: {self._failure.where} {self._failure.what}"
            return RegistryError(Issue(self._registry, what, self._failure.fix))
        whom = "" if login is None else f" to {login.username!r}" if login.username else " to this login"
        fix = f"log in: lading login {self._registry}"
        if login is not None:
            fix += "; a connection goes before a login: lading connection list"
        return RegistryError(Issue(self._registry, f"{what}{whom}", fix))

    def secrets(self) -> tuple[str, ...]:
        """List what must stand in no message."""
        login = self._login()
        known = () if login is None else (login.password, login.identity_token or "")
        return tuple(one for one in (*known, *(token.text for token in self._tokens)) if one)

    def _login(self) -> Login | None:
        with self._lock:
            if not self._was_asked:
                self._was_asked = True
                try:
                    self._kept = self._logins(self._registry)
                except HelperError as error:  # the registry may want no login
                    self._failure = error.issues[0]
            return self._kept

    def _token(self, way: Challenge, scopes: frozenset[str]) -> str:
        now_s = time.monotonic()
        for token in self._tokens:
            if scopes <= token.scopes and now_s < token.until_s:
                return token.text
        document = self._fetch(way, sorted(scopes))
        text = document.get("token") or document.get("access_token")
        if not isinstance(text, str):
            what = "the token service answers without a token"
            raise RegistryError(Issue(public(way.parameters["realm"]), what))
        lasts_s = document.get("expires_in")
        lasts_s = float(lasts_s) if isinstance(lasts_s, int) and lasts_s > 0 else _SHORTEST_S
        # a tenth earlier: the clocks differ, and what is being sent takes its time
        kept = [one for one in self._tokens if now_s < one.until_s]
        self._tokens = [_Token(scopes, text, now_s + 0.9 * lasts_s), *kept]
        return text

    def _fetch(self, way: Challenge, scopes: list[str]) -> dict[str, Any]:
        realm = urljoin(self._base(), way.parameters["realm"])
        login = self._login()
        service = way.parameters.get("service")
        own = origin(self._base())
        if login is not None and origin(realm)[0] == "http" and own[0] == "https":
            what = "its token service speaks plain HTTP, so no password is sent there"
            raise RegistryError(Issue(self._registry, what))
        headers: Mapping[str, str] = {}
        body = None
        pairs = [("service", service)] if service else []
        if login is not None and login.identity_token:
            pairs += [("grant_type", "refresh_token"), ("refresh_token", login.identity_token)]
            pairs += [("client_id", _CLIENT_ID), ("scope", " ".join(scopes))]
            method, url, body = "POST", realm, urlencode(pairs).encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
        else:
            pairs += [("scope", scope) for scope in scopes]
            if login is not None:
                pairs += [("account", login.username)]
                headers = _basic(login)
            method, url = "GET", f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(pairs)}"
        return self._read(method, url, headers, body)

    def _read(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> dict[str, Any]:
        def at_home(target: str) -> tuple[str, Mapping[str, str]]:
            if origin(target) == origin(url):
                return target, headers
            if body is not None:
                what = "the token service redirects to another host, where no password is sent"
                raise RegistryError(Issue(public(url), what))
            return target, {}

        with self._client.send(
            method, url, {"Accept": "application/json"}, body=body, authorize=at_home
        ) as response:
            if response.status in {400, 401, 403}:
                raise self.refused("its token service denies access")
            if response.status != 200:
                raise RegistryError(Issue(public(url), response.line))
            text = response.text(_LIMIT_BYTES)
        try:
            document = json.loads(text or b"")
        except ValueError as error:
            raise Transient("its token service answers without JSON") from error
        return document if isinstance(document, dict) else {}


def _basic(login: Login) -> Mapping[str, str]:
    pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}
