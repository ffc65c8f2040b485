"""A proxy before a real registry that counts what passes, and harms what a test tells it to harm.

A pytest plugin: `-p meddler` with `tests` on the path.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engines import Registry

_PIECE_BYTES = 1 << 16
_HOP = {"connection", "transfer-encoding", "keep-alive"}


class Cut(Exception):  # noqa: N818 nobody is told
    """The connection ends here."""


@dataclass
class Harm:
    """What is done, once, to the first request that fits."""

    method: str
    path: str
    """A regular expression, searched for in path and query."""
    status: int | None = None
    """Answer with this instead of asking the registry."""
    headers: dict[str, str] = field(default_factory=dict)
    cut_request_after: int | None = None
    cut_response_after: int | None = None
    lose_answer: bool = False
    """Let the registry do it, and hang up without saying so."""
    flip_request_at: int | None = None
    flip_response_at: int | None = None
    drop: str = ""
    """A header field that does not get through."""
    first: Callable[[], object] | None = None
    """Called before the request is looked at."""
    then: Callable[[], object] | None = None
    """Called when the connection is cut."""
    skip: int = 0
    """How many requests that fit pass first."""
    times: int = 1

    def fits(self, method: str, path: str) -> bool:
        if method != self.method or not re.search(self.path, path):
            return False
        self.skip -= 1
        return self.skip < 0 and self.times > 0


@dataclass(frozen=True)
class Passed:
    """A request that passed, and how many bytes of bodies with it."""

    method: str
    path: str
    headers: dict[str, str]
    sent_bytes: int
    received_bytes: int


class Meddler:
    """Law: what is not harmed passes unchanged."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.harms: list[Harm] = []
        self.passed: list[Passed] = []
        self.holds_bodies = False
        """Take a request in full before the registry is asked, as many servers in front of registries do."""
        self._lock = threading.Lock()
        meddler = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16

            def handle_any(self) -> None:
                meddler.handle(self)

            do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 the names http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # hanging up is what this is about
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def host(self) -> str:
        return f"localhost:{self.server.server_port}"

    def harm(self, method: str, path: str, **how: object) -> Harm:
        """Say what is to be done to the next request that fits."""
        one = Harm(method, path, **how)  # type: ignore[arg-type] # the fields of Harm
        self.harms.append(one)
        return one

    def asked(self, method: str, path: str = "") -> list[Passed]:
        """List the requests that came, harmed or not."""
        return [one for one in self.passed if one.method == method and re.search(path, one.path)]

    @property
    def sent_bytes(self) -> int:
        """How many bytes of bodies came from clients."""
        return sum(one.sent_bytes for one in self.passed)

    @property
    def received_bytes(self) -> int:
        """How many bytes of bodies went to clients."""
        return sum(one.received_bytes for one in self.passed)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            found = next((one for one in self.harms if one.fits(request.command, request.path)), None)
            if found:
                found.times -= 1
        harm = found or Harm(request.command, "")
        counts = [0, 0]
        if harm.first:
            harm.first()
        try:
            self._pass(request, harm, counts)
        except (Cut, OSError, http.client.HTTPException):
            request.close_connection = True
            with self._lock:
                self._note(request, counts)
            if harm.then:
                harm.then()
            _hang_up(request)

    def _note(self, request: BaseHTTPRequestHandler, counts: list[int]) -> None:
        headers = {key.lower(): value for key, value in request.headers.items()}
        self.passed.append(Passed(request.command, request.path, headers, *counts))

    def _pass(self, request: BaseHTTPRequestHandler, harm: Harm, counts: list[int]) -> None:
        if harm.status is not None:
            self._answer(request, harm, counts)
            return
        upstream = http.client.HTTPConnection(self.upstream, timeout=60)
        with (
            closing(upstream),
            self._ask(upstream, request, harm, self._body(request, harm, counts)) as response,
        ):
            if harm.lose_answer:
                response.read()
                raise Cut
            request.send_response_only(response.status, response.reason)
            for name, value in response.getheaders():
                if name.lower() not in _HOP:
                    request.send_header(name, value)
            if response.getheader("Content-Length") is None and response.status not in {204, 304}:
                request.send_header("Connection", "close")
                request.close_connection = True
            request.end_headers()
            pieces = iter(lambda: response.read(_PIECE_BYTES), b"")
            for piece in _harmed(pieces, flip_at=harm.flip_response_at, cut_after=harm.cut_response_after):
                request.wfile.write(piece)
                counts[1] += len(piece)
            with self._lock:
                self._note(request, counts)
            request.wfile.flush()

    def _ask(
        self,
        upstream: http.client.HTTPConnection,
        request: BaseHTTPRequestHandler,
        harm: Harm,
        body: Iterator[bytes],
    ) -> http.client.HTTPResponse:
        if self.holds_bodies:
            body = iter([b"".join(body)])
        upstream.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name.lower() not in {*_HOP, harm.drop}:
                upstream.putheader(name, value)
        upstream.endheaders()
        for piece in body:
            upstream.send(piece)
        return upstream.getresponse()

    def _answer(self, request: BaseHTTPRequestHandler, harm: Harm, counts: list[int]) -> None:
        with self._lock:
            self._note(request, counts)
        request.send_response_only(harm.status or 0, "Harm")
        for name, value in {"Content-Length": "0", "Connection": "close", **harm.headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.flush()
        request.close_connection = True

    def _body(self, request: BaseHTTPRequestHandler, harm: Harm, counts: list[int]) -> Iterator[bytes]:
        left = int(request.headers.get("Content-Length", 0))

        def pieces() -> Iterator[bytes]:
            nonlocal left
            while left and (piece := request.rfile.read1(min(_PIECE_BYTES, left))):  # type: ignore[attr-defined] # it is buffered
                left -= len(piece)
                counts[0] += len(piece)
                yield piece
            if left:
                raise Cut

        yield from _harmed(pieces(), flip_at=harm.flip_request_at, cut_after=harm.cut_request_after)


def _harmed(pieces: Iterator[bytes], *, flip_at: int | None, cut_after: int | None) -> Iterator[bytes]:
    at = 0
    for piece in pieces:
        if flip_at is not None and at <= flip_at < at + len(piece):
            changed = bytearray(piece)
            changed[flip_at - at] ^= 1
            piece = bytes(changed)  # noqa: PLW2901 the harmed one
        if cut_after is not None and at + len(piece) > cut_after:
            yield piece[: cut_after - at]
            raise Cut
        at += len(piece)
        yield piece


def _hang_up(request: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        request.wfile.flush()
        request.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def meddler(registry: Registry) -> Iterator[Meddler]:
    one = Meddler(registry.host)
    yield one
    one.close()
