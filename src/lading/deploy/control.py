"""Orders to the supervisor, a line of JSON each, on a socket that only its own user may open."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lading.core.errors import DeployError, Issue, LadingError, RegistryError, SpecError

_NAME = "control"
_ORDER_BYTES = 16 << 20
_FAMILIES: dict[str, type[LadingError]] = {
    one.__name__: one for one in (SpecError, DeployError, RegistryError)
}

Obey = Callable[[Mapping[str, Any]], Any]


class SilentError(Exception):
    """Nobody answers: there is no supervisor."""


class Control(socketserver.ThreadingUnixStreamServer):
    """What takes orders."""

    daemon_threads = True

    def __init__(self, root: Path, obey: Obey) -> None:
        """Listen in a folder that only we may enter."""
        self.obey = obey
        with _near(root) as path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108 - a socket by a path of its own kind
            before = os.umask(0o177)
            try:
                super().__init__(path, _Orders)
            finally:
                os.umask(before)

    def start(self) -> None:
        """Answer in a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()


class _Orders(socketserver.StreamRequestHandler):
    server: Control

    def handle(self) -> None:
        try:
            order = json.loads(self.rfile.readline(_ORDER_BYTES))
            answer = {"answer": self.server.obey(order)}
        except LadingError as error:
            issues = [[one.where, one.what, one.fix] for one in error.issues]
            answer = {"error": type(error).__name__, "issues": issues}
        except (ValueError, KeyError, TypeError, OSError) as error:
            issues = [["supervisor", f"did not understand: {type(error).__name__}: {error}", None]]
            answer = {"error": "DeployError", "issues": issues}
        with contextlib.suppress(OSError):
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def ask(root: Path, order: Mapping[str, Any], timeout_s: float = 30.0) -> Any:  # noqa: ANN401 - any JSON value
    """Give an order and return the answer; raise SilentError, or what the supervisor raised."""
    data = bytearray()
    try:
        with _near(root) as path, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            connection.sendall(json.dumps(order).encode() + b"\n")
            while chunk := connection.recv(1 << 16):
                data += chunk
    except TimeoutError:
        raise DeployError(Issue("supervisor", f"has not answered within {timeout_s:g} s")) from None
    except OSError as error:
        raise SilentError from error
    if not data.endswith(b"\n"):
        raise SilentError
    answer = json.loads(data)
    if "error" in answer:
        raise _FAMILIES.get(answer["error"], DeployError)(*(Issue(*one) for one in answer["issues"]))
    return answer["answer"]


@contextmanager
def _near(root: Path) -> Iterator[str]:
    """Lend a path to the socket that is short, however long its folder's is."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{_NAME}"
    finally:
        os.close(folder)
