"""Registries with a password, with tokens, with TLS; and hosts that must not get what logs in to them."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import PASSWORD, USER, Registry, require, serving
from lading.core.digest import Digest
from lading.core.errors import LadingError, RegistryError
from lading.core.login import Login, Logins
from lading.core.ports import Event
from lading.core.reference import Reference
from lading.logins import LoginFiles
from lading.store import RegistryStore, challenge, documents
from lading.store.challenge import Challenge
from meddler import Meddler

IDENTITY = "identity-token-that-stands-for-anna"
LOGIN = Login(USER, PASSWORD)


class TokenService:
    """A token service (Distribution, docs/spec/auth/token.md) that the registry believes."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "token.crt", folder / "token.key"
        make = [require("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        make += ["-subj", "/CN=tokens", "-keyout", str(self.key), "-out", str(self.certificate)]
        subprocess.run(make, check=True, capture_output=True)
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.tokens: list[str] = []
        self.lasts_s = 300
        self.stale = 0
        """How many tokens are worth nothing any more when they are given."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service.answer(self, parse_qs(urlsplit(self.path).query))

            def do_POST(self) -> None:
                service.answer(self, parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def auth(self) -> dict[str, object]:
        realm = f"http://localhost:{self.server.server_port}/token?of=lading"
        certificates = {"rootcertbundle": str(self.certificate)}
        return {"token": {"realm": realm, "service": "registry", "issuer": "tokens", **certificates}}

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, request: BaseHTTPRequestHandler, fields: dict[str, list[str]]) -> None:
        self.asked.append((request.command, fields))
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        given_header = request.headers.get("Authorization")
        is_known = given_header == basic or fields.get("refresh_token") == [IDENTITY]
        body, status = b'{"details":"no"}', 401
        if is_known or (given_header is None and "refresh_token" not in fields):
            scopes = " ".join(fields.get("scope", [])).split()
            token = self.token([self.grant(scope, is_known=is_known) for scope in scopes])
            self.tokens.append(token)
            key = "access_token" if request.command == "POST" else "token"
            body, status = json.dumps({key: token, "expires_in": self.lasts_s}).encode(), 200
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def grant(self, scope: str, *, is_known: bool) -> dict[str, object]:
        """Let USER do all, and anybody read what is public."""
        kind, name, actions = scope.split(":")
        allowed = actions.split(",") if is_known else ["pull"] if name.startswith("public/") else []
        return {"type": kind, "name": name, "actions": allowed}

    def token(self, access: list[dict[str, object]]) -> str:
        now_s = int(time.time()) - (3600 if self.stale > 0 else 0)
        self.stale -= 1
        der = "".join(self.certificate.read_text().splitlines()[1:-1])
        times = {"exp": now_s + self.lasts_s, "nbf": now_s - 10, "iat": now_s}
        claims = {"iss": "tokens", "sub": USER, "aud": "registry", "jti": uuid.uuid4().hex, **times}
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": [der]}, {**claims, "access": access}]
        text = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        sign = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(sign, input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def known(login: Login | None) -> Logins:
    return lambda _: login


@pytest.fixture(scope="module")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture(scope="module")
def tokens(token_folder: Path) -> Iterator[TokenService]:
    with closing(TokenService(token_folder)) as service:
        yield service


@pytest.fixture(scope="module")
def token_registry(token_folder: Path, tokens: TokenService) -> Iterator[Registry]:
    with serving(token_folder / "registry", auth=tokens.auth) as served:
        yield served


@pytest.fixture(autouse=True)
def _forget(tokens: TokenService) -> None:
    tokens.asked.clear()
    tokens.tokens.clear()
    tokens.lasts_s, tokens.stale = 300, 0


@pytest.fixture(params=["guarded_registry", "token_registry", "tls_registry"])
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Registry:
    served: Registry = request.getfixturevalue(request.param)
    if served.certificate:
        monkeypatch.setenv("SSL_CERT_FILE", str(served.certificate))
    return served


Open = Callable[..., RegistryStore]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Open stores that are closed in the end."""
    stores: list[RegistryStore] = []

    def opened(registry: Registry | Meddler, login: Login | None, repository: str = "") -> RegistryStore:
        repository = repository or f"private/{uuid.uuid4().hex}"
        stores.append(
            RegistryStore(registry.host, repository, logins=known(login), attempts=2, backoff_s=0.01)
        )
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def name(store: RegistryStore, tag: str = "1") -> Reference:
    return Reference(store.registry, store.repository, tag)


def test_who_is_known_pushes_lists_pulls_and_deletes(guarded: Registry, opened: Open, author: Any) -> None:
    store = opened(guarded, LOGIN)
    image = author.image(store, "one", "two")
    store.tag(name(store), image)
    store.refer(author.report(store, image))
    again = opened(guarded, LOGIN, store.repository)
    assert again.tag_names() == ["1"]
    assert again.resolve(name(again)) == image
    for part in documents.walk(again, image):
        with again.open(part.digest) as stream:
            assert Digest.of(stream.read()) == part.digest
    again.untag(name(again))
    again.delete(image.digest)
    assert again.size_bytes(image.digest) is None


def test_who_is_not_known_is_told_to_log_in(guarded: Registry, opened: Open, author: Any) -> None:
    store = opened(guarded, None)
    for act in (lambda: author.image(store), store.tag_names, lambda: store.resolve(name(store))):
        with pytest.raises(RegistryError) as caught:
            act()
        assert f"log in: lading login {guarded.host}" in str(caught.value)


def test_who_is_not_known_since_a_helper_fails_is_told_so(guarded: Registry, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "never-installed"}')
    warnings: list[Event] = []
    files = LoginFiles({"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}, warnings.append)
    with (
        RegistryStore(guarded.host, "private/iris", logins=files.ask) as store,
        pytest.raises(RegistryError) as caught,
    ):
        store.tag_names()
    (issue,) = caught.value.issues
    assert issue.where == guarded.host
    assert "denies access" in issue.what
    assert "docker-credential-never-installed is configured, but not on PATH" in issue.what
    assert issue.fix
    assert issue.fix.startswith("install it")
    assert len(warnings) == 1


def test_a_wrong_password_is_refused_and_not_printed(guarded: Registry, opened: Open) -> None:
    for login in (Login(USER, "a-wrong-secret"), Login(USER, "", identity_token="a-wrong-secret")):
        with pytest.raises(RegistryError) as caught:
            opened(guarded, login).tag_names()
        assert f"to {USER!r}" in str(caught.value)
        assert "a-wrong-secret" not in f"{caught.value!r} {caught.value} {login!r}"


def test_a_login_is_checked_without_a_repository(guarded: Registry, opened: Open) -> None:
    opened(guarded, LOGIN).check()
    with pytest.raises(RegistryError, match=f"to {USER!r}"):
        opened(guarded, Login(USER, "a-wrong-secret")).check()


def test_anybody_reads_what_is_public_and_no_more(
    token_registry: Registry, opened: Open, author: Any
) -> None:
    repository = f"public/{uuid.uuid4().hex}"
    store = opened(token_registry, LOGIN, repository)
    image = author.image(store)
    store.tag(name(store), image)
    anybody = opened(token_registry, None, repository)
    assert anybody.resolve(name(anybody)) == image
    with pytest.raises(RegistryError, match="lading login"):
        author.blob(anybody, b"something new")


def test_an_identity_token_is_exchanged_by_post_alone(
    token_registry: Registry, tokens: TokenService, opened: Open, author: Any
) -> None:
    store = opened(token_registry, Login("<token>", "", identity_token=IDENTITY))
    store.tag(name(store), author.image(store))
    assert {method for method, _ in tokens.asked} == {"POST"}
    assert all(fields["grant_type"] == ["refresh_token"] for _, fields in tokens.asked)
    assert all(fields["service"] == ["registry"] for _, fields in tokens.asked)


def test_a_token_serves_for_its_scope_until_it_expires(
    token_registry: Registry, tokens: TokenService, opened: Open, author: Any
) -> None:
    store = opened(token_registry, LOGIN)
    author.image(store, *"abcdefgh")
    # one to look, one to write
    assert len(tokens.asked) <= 2
    tokens.lasts_s = 1
    other = opened(token_registry, LOGIN)
    author.blob(other, b"before")
    many = len(tokens.asked)
    time.sleep(1)
    author.blob(other, b"after")
    assert len(tokens.asked) > many


def test_a_token_that_is_refused_is_renewed(
    token_registry: Registry, tokens: TokenService, opened: Open, author: Any
) -> None:
    tokens.stale = 1
    store = opened(token_registry, LOGIN)
    assert store.tag_names() == []
    assert len(tokens.tokens) == 2


def test_no_token_and_no_password_stands_in_a_message(
    token_registry: Registry, tokens: TokenService, opened: Open, author: Any
) -> None:
    meddler = Meddler(token_registry.host)
    with closing(meddler):
        meddler.harm("PUT", "manifests", status=400, times=9)
        store = opened(meddler, LOGIN)
        with pytest.raises(LadingError) as caught:
            author.image(store)
    assert tokens.tokens
    for secret in (PASSWORD, *tokens.tokens):
        assert secret not in f"{caught.value!r} {caught.value}"


class Elsewhere:
    """A server that remembers what it was sent, and answers as it is told."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.headers: list[dict[str, str]] = []
        elsewhere = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                elsewhere.headers.append({key.lower(): value for key, value in self.headers.items()})
                answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815 the names http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def reply(request: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    request.send_response(status)
    for key, value in {"Content-Length": str(len(body)), **headers}.items():
        request.send_header(key.replace("_", "-"), value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)


def test_a_blob_that_lies_elsewhere_is_fetched_without_the_login(
    guarded_registry: Registry, opened: Open, author: Any
) -> None:
    store = opened(guarded_registry, LOGIN)
    blob = author.blob(store, b"a layer")
    meddler = Meddler(guarded_registry.host)
    with closing(meddler), closing(Elsewhere(lambda one: reply(one, b"a layer"))) as storage:
        target = f"http://{storage.host}/bucket?signature=secret"
        meddler.harm("GET", blob.digest.hex, status=307, headers={"Location": target})
        moved = opened(meddler, LOGIN, store.repository)
        # so that a login is at hand
        assert moved.size_bytes(blob.digest) == 7
        with moved.open(blob.digest) as stream:
            assert stream.read() == b"a layer"
        assert meddler.asked("GET", blob.digest.hex)[-1].headers["authorization"].startswith("Basic ")
        assert [headers.get("authorization") for headers in storage.headers] == [None]


def test_a_token_service_that_sends_elsewhere_gets_no_identity_token_sent_there(opened: Open) -> None:
    with closing(Elsewhere(lambda one: reply(one, b"{}"))) as thief:
        location = f"http://{thief.host}/"
        with closing(Elsewhere(lambda one: reply(one, b"", 307, Location=location))) as service:
            way = f'Bearer realm="http://{service.host}/token",service="x"'
            with closing(Elsewhere(lambda one: reply(one, b"", 401, WWW_Authenticate=way))) as fake:
                store = opened(fake, Login(USER, "", identity_token=IDENTITY))  # type: ignore[arg-type] # it has a host
                with pytest.raises(RegistryError, match="no password is sent"):
                    store.tag_names()
                assert thief.headers == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_registry: Registry, opened: Open) -> None:
    with pytest.raises(RegistryError, match="certificate is refused") as caught:
        opened(tls_registry, LOGIN).tag_names()
    assert "certs.d" in str(caught.value)


def test_a_certificate_is_found_where_container_engines_have_it(
    tls_registry: Registry, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".config/containers/certs.d" / tls_registry.host
    folder.mkdir(parents=True)
    assert tls_registry.certificate
    (folder / "ca.crt").write_bytes(tls_registry.certificate.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened(tls_registry, LOGIN).tag_names() == []


def test_no_proxy_is_asked_for_this_machine(
    guarded_registry: Registry, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Elsewhere(lambda one: reply(one, b"", 502))) as proxy:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://{proxy.host}")
        assert opened(guarded_registry, LOGIN).tag_names() == []
        assert proxy.headers == []


def test_a_proxy_is_asked_for_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with closing(Elsewhere(lambda one: reply(one, b'{"tags":["1"]}'))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.host}")
        with RegistryStore("registry.example.invalid", "iris", plain_http=True) as store:
            assert store.tag_names() == ["1"]
        assert [headers["host"] for headers in proxy.headers] == ["registry.example.invalid"]


TOKEN = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
VALUE = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=20)


@given(st.lists(st.tuples(TOKEN, st.dictionaries(TOKEN, VALUE, min_size=1)), max_size=3))
def test_challenges_are_read_as_they_were_written(offered: list[tuple[str, dict[str, str]]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(
        f"{scheme} " + ",".join(f"{key}={quoted(value)}" for key, value in parameters.items())
        for scheme, parameters in offered
    )
    assert challenge.parse(text) == tuple(Challenge(scheme, parameters) for scheme, parameters in offered)


@given(st.text(max_size=60))
def test_a_malformed_challenge_is_no_error(text: str) -> None:
    challenge.parse(text)


@pytest.mark.parametrize(
    ("text", "schemes"),
    [
        ("Negotiate, Basic realm=x", ["negotiate", "basic"]),
        ('Negotiate YWJj==, Bearer realm="a"', ["negotiate", "bearer"]),
        ('BEARER REALM = "a,b" , scope=c', ["bearer"]),
        ("", []),
    ],
)
def test_unusual_challenges_are_read(text: str, schemes: list[str]) -> None:
    assert [one.scheme for one in challenge.parse(text)] == schemes
