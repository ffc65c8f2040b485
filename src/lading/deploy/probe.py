"""An address and a path in; whether an instance says that it is well out."""

from __future__ import annotations

import http.client
import socket

from lading.deploy.target import Address


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Address, timeout_s: float) -> None:
        super().__init__(address.host or "localhost", address.port or None, timeout=timeout_s)
        self._address = address

    def connect(self) -> None:
        if not self._address.socket:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address.socket)


def is_well(address: Address, path: str, timeout_s: float) -> bool:
    """Ask by GET; a status of 200 to 399 is good, as Kubernetes has it."""
    connection = _Connection(address, timeout_s)
    try:
        connection.request("GET", path, headers={"connection": "close"})
        return 200 <= connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
