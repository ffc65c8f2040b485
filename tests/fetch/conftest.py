from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A web server on loopback whose answers a test writes; it remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {key.lower(): value for key, value in self.headers.items()}
                site.requests.append((self.command, self.path, headers))
                site.answers.get(self.path, lambda one: site.reply(one, b"", status=404))(self)

            do_HEAD = do_GET  # noqa: N815 the name http.server looks for

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # a client that hangs up is what some tests are about
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def in_turn(self, path: str, *answers: Answer) -> None:
        """Give one answer after another."""
        left = iter(answers)

        def answer(request: BaseHTTPRequestHandler) -> None:
            next(left)(request)

        self.answers[path] = answer

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @staticmethod
    def reply(request: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, **headers: str) -> None:
        """Answer in full, or the part that was asked for; `headers` have underscores for dashes."""
        start = 0
        asked = request.headers.get("Range", "")
        if status == 200 and asked and headers.pop("ranges", "yes") == "yes":
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                status = 416
                headers["Content_Range"] = f"bytes */{len(body)}"
                body, start = b"", 0
            else:
                status = 206
                headers["Content_Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        headers.pop("ranges", None)
        request.send_response(status)
        for name, value in {"Content_Length": str(len(body) - start), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body[start:])

    @staticmethod
    def break_after(request: BaseHTTPRequestHandler, body: bytes, count: int) -> None:
        """Promise the whole body (or the rest that was asked for), send some of it and hang up."""
        asked = request.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        request.send_response(206 if asked else 200)
        if asked:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        request.send_header("Content-Length", str(len(body) - start))
        request.send_header("ETag", '"one"')
        request.end_headers()
        request.wfile.write(body[start : start + count])
        request.wfile.flush()
        request.close_connection = True
        request.connection.shutdown(2)


@pytest.fixture
def site() -> Iterator[Site]:
    one = Site()
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
