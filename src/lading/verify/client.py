"""A Unix socket in a folder and a request in; an answer out, within a time and a length."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ANSWER_BYTES_MAX = 256 << 20


class NoAnswerError(Exception):
    """There was no answer, or none that is HTTP, or none in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an HTTP response."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Client:
    """Ask a server that listens on a Unix socket `name` in `folder`; a connection for each request."""

    folder: Path
    name: str

    def get(self, path: str, timeout_s: float) -> Answer:
        """Send GET; raise NoAnswerError."""
        return self._ask("GET", path, None, timeout_s)

    def post(
        self, path: str, body: bytes, timeout_s: float, content_type: str = "application/json"
    ) -> Answer:
        """Send a body by POST; raise NoAnswerError."""
        return self._ask("POST", path, body, timeout_s, content_type)

    def _ask(
        self, method: str, path: str, body: bytes | None, timeout_s: float, content_type: str = ""
    ) -> Answer:
        import http.client  # 10 ms, which packing without verification need not pay

        # by name: a routine's stream is gathered, and its picture is in base64
        headers = {"content-type": content_type, "accept": "application/json", "connection": "close"}
        headers = headers if body is not None else {}
        connection = http.client.HTTPConnection("localhost")
        begun_s = time.monotonic()
        try:
            with self._connected(timeout_s) as connection.sock:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                data = response.read(_ANSWER_BYTES_MAX + 1)
        except (FileNotFoundError, ConnectionRefusedError):
            problem = "nothing listens"
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = str(error) or type(error).__name__
        else:
            is_long = len(data) > _ANSWER_BYTES_MAX
            is_late = time.monotonic() - begun_s >= timeout_s
            if not (is_late or is_long or response.length):  # nothing that was promised is missing
                return Answer(response.status, data)
            problem = f"longer than {_ANSWER_BYTES_MAX} bytes" if is_long else "the answer ends early"
        finally:
            connection.close()
        if time.monotonic() - begun_s >= timeout_s:
            problem = f"no answer within {timeout_s:g} s"
        raise NoAnswerError(f"{method} {path}: {problem}")

    @contextlib.contextmanager
    def _connected(self, timeout_s: float) -> Iterator[socket.socket]:
        """Connect; when the time is over, end the connection, however slowly an answer trickles."""
        folder = os.open(self.folder, os.O_PATH)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout_s)
        timer = threading.Timer(timeout_s, _shut, [connection])
        try:
            # through the descriptor: the path of a socket has 107 bytes at most (unix(7))
            connection.connect(f"/proc/self/fd/{folder}/{self.name}")
            timer.start()
            yield connection
        finally:
            timer.cancel()
            connection.close()
            os.close(folder)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
