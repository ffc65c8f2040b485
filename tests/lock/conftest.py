"""Tiny wheels and source distributions, and an index on loopback to serve them."""

from __future__ import annotations

import base64
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lading.core.digest import Digest
from lading.core.errors import Issue, RegistryError
from lading.core.lock import BaseFacts, Interpreter, LockedArchive, LockedBase, LockedDeb
from lading.core.model import Requirement
from lading.core.platform import Platform
from lading.core.server import ServerNeeds
from lading.lock import Question, resolve
from lading.lock.interpreter import SUITES
from smithing import Wheelsmith, hex_of

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
PYTHONS = {"bookworm": "3.11.2", "trixie": "3.13.5", "bullseye": "3.9.2"}


class PlainFetch:
    """Fetches without a cache; `credentials` is what a netrc would give."""

    def __init__(self, folder: Path, credentials: str | None = None) -> None:
        self.folder = folder
        self.credentials = credentials
        self.asked: list[str] = []

    def _open(self, url: str, method: str):
        request = urllib.request.Request(url, method=method)
        if self.credentials:
            token = base64.b64encode(self.credentials.encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        self.asked.append(f"{method} {url}")
        return urllib.request.urlopen(request, timeout=10)

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        del size_bytes
        path = self.folder / url.rpartition("/")[2]
        with self._open(url, "GET") as answer:
            path.write_bytes(answer.read())
        assert Digest.of(path.read_bytes()) == digest
        return path

    def text(self, url: str, limit_bytes: int = 64 << 20) -> bytes:
        with self._open(url, "GET") as answer:
            return answer.read(limit_bytes)

    def size_bytes(self, url: str) -> int | None:
        try:
            with self._open(url, "HEAD") as answer:
                length = answer.headers["Content-Length"]
        except urllib.error.HTTPError as error:
            raise RegistryError(Issue("index", str(error.code))) from error
        return int(length) if length else None


class Index:
    """A simple index (PEP 503) of a folder, on loopback, with basic auth when it has credentials."""

    def __init__(self, folder: Path, *, credentials: str | None = None, tells_length: bool = True) -> None:
        self.folder = folder
        self.credentials = credentials
        self.query = ""
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.respond(body=False)

            def do_GET(self):
                self.respond(body=True)

            def respond(self, *, body):
                token = base64.b64encode((index.credentials or "").encode()).decode()
                if index.credentials and self.headers.get("Authorization") != f"Basic {token}":
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                data = index.document(self.path.partition("?")[0])
                self.send_response(404 if data is None else 200)
                kind = "text/html" if self.path.endswith("/") else "application/octet-stream"
                self.send_header("Content-Type", kind)
                if tells_length or body:
                    self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                if body and data:
                    self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/simple"

    def document(self, path: str) -> bytes | None:
        if path.startswith("/files/"):
            file = self.folder / path.removeprefix("/files/")
            return file.read_bytes() if file.is_file() else None
        name = path.removeprefix("/simple/").strip("/")
        links = [
            f'<a href="/files/{one.name}{self.query}#sha256={hex_of(one)}">{one.name}</a>'
            for one in sorted(self.folder.iterdir())
            if one.name.split("-")[0].replace("_", "-").lower() == name
        ]
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode() if links else None

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def smith(tmp_path) -> Wheelsmith:
    return Wheelsmith(tmp_path / "links")


@pytest.fixture
def serve(smith) -> Iterator:
    """Serve the smith's folder; returns the index."""
    running = []

    def start(**options) -> Index:
        running.append(Index(smith.folder, **options))
        return running[-1]

    yield start
    for index in running:
        index.close()


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    """A machine of its own: no user configuration, an empty cache, no index and no network."""
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CONFIG_DIRS": str(home / "nowhere"),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "UV_HTTP_RETRIES": "0",
    }


@pytest.fixture
def offline_environ(environ, smith) -> dict[str, str]:
    """The smith's folder is the only place there is."""
    return {**environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(smith.folder)}


@pytest.fixture
def fetch(tmp_path) -> PlainFetch:
    folder = tmp_path / "fetched"
    folder.mkdir()
    return PlainFetch(folder)


@pytest.fixture
def resolve_base():
    """A base of one package; its Python is the suite's."""

    def resolve(reference: str, platform: Platform) -> BaseFacts:
        suite, architecture = reference.removeprefix("debian:"), platform.architecture
        digest = Digest.of(f"{suite} {architecture}".encode())
        deb = LockedDeb(
            "libc6", "2.36-9", architecture, f"pool/main/g/glibc/libc6_{architecture}.deb", digest, 5
        )
        python = PYTHONS[suite]
        minor = ".".join(python.split(".")[:2])
        base = LockedBase(reference, suite, (deb,), SUITES[suite].libc)
        return BaseFacts(base, (Interpreter(f"/usr/bin/python{minor}", python),))

    return resolve


@pytest.fixture
def ask():
    """A question of the model's requirements; the native server needs nothing unless told."""

    def question(*requirements, server=ServerNeeds("lading", (), ()), platforms=(AMD64,), **more) -> Question:  # noqa: B008 - frozen
        asked = tuple(Requirement(text, "spec") for text in requirements)
        return Question(server, platforms, asked, **more)

    return question


@pytest.fixture
def bring_python():
    """Any Python can be had, as an archive of uv's."""

    def bring(minors: Sequence[str], platform: Platform, base: LockedBase) -> tuple[LockedBase, Interpreter]:
        minor = minors[0]
        archive = LockedArchive("cpython", f"{minor}.9", "a.tar.gz", "https://h/a", Digest.of(b"a"), 1)
        return base, Interpreter(f"/opt/lading/python/{minor}/bin/python{minor}", f"{minor}.9", archive)

    return bring


@pytest.fixture
def lock_of(offline_environ, fetch, resolve_base, bring_python):
    def run(question, **more):
        return resolve(
            question,
            fetch=fetch,
            resolve_base=resolve_base,
            bring_python=bring_python,
            environ=offline_environ,
            **more,
        )

    return run
