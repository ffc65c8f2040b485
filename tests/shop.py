"""A web server of files that does what a test tells it to do wrong.

A pytest plugin: `-p shop` with `tests` on the path.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Shop:
    """Files by their path, and how they are served."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cut_after: int = 0
    """How many bytes of each answer are sent, while there are `cuts` left."""
    cuts: int = 0
    redirect: str = ""
    """Where every path leads that does not begin with `/real`."""
    token: str = ""
    """What an `Authorization` has to be."""
    length: int | None = None
    """What an answer says of its length, where that is a lie."""
    failures: int = 0
    """How many requests are answered with 503."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, range and authorization of every request."""
    gate: threading.Event | None = None
    """What answers wait for."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def _handler(shop: Shop) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - what can go wrong
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            wanted, login = self.headers.get("Range", ""), self.headers.get("Authorization", "")
            shop.asked.append((self.path, wanted, login))
            if shop.gate is not None:
                shop.gate.wait(30)
            if shop.failures or (shop.token and login != shop.token):
                self.send_error(503 if shop.failures else 401)
                shop.failures = max(0, shop.failures - 1)
            elif shop.redirect and not self.path.startswith("/real"):
                self.send_response(307)
                self.send_header("Location", shop.redirect + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._find(re.fullmatch(r"bytes=(\d+)-(\d+)", wanted) if shop.ranges else None)

        def _find(self, part: re.Match[str] | None) -> None:
            data = shop.files.get(self.path.removeprefix("/real"))
            if data is None:
                self.send_error(404)
            else:
                self._send(data, part)

        def _send(self, data: bytes, part: re.Match[str] | None) -> None:
            start, end = (int(part[1]), int(part[2]) + 1) if part else (0, len(data))
            self.send_response(206 if part else 200)
            if part:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
            self.send_header("Content-Length", str(end - start if shop.length is None else shop.length))
            self.end_headers()
            if shop.cuts:
                shop.cuts -= 1
                end = min(end, start + shop.cut_after)
                self.close_connection = True
            with suppress(ConnectionError):  # who asked may be gone
                self.wfile.write(data[start:end])

    return Handler


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop with nothing in it yet."""
    made = Shop()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(made)) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with closing(server.socket):
            yield made
            if made.gate:
                made.gate.set()
            server.shutdown()
            thread.join()
