"""A URL in; the URL without its user information, and the header that logs in to its host, out.

Sources: RFC 7617 (Basic), netrc(5). A redirect asks anew, so a password goes to no host but its own.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from lading.core.errors import Issue, RegistryError

Ask = Callable[[str], tuple[str, str] | None]
"""A URL without user information → user and password, None where nobody is known."""


def nobody(_: str) -> None:
    """Know nobody anywhere."""


class Credentials:
    """Users and passwords: a URL's own first, then those given, those that are asked for, then netrc's."""

    def __init__(self, given: Mapping[str, tuple[str, str]], ask: Ask = nobody) -> None:
        """Take user and password by `host` or `host:port`; `ask` tells them by URL."""
        self._given = given
        self._ask = ask
        self._netrc: Mapping[str, tuple[str, str]] | None = None
        self._lock = threading.Lock()

    def apart(self, url: str) -> tuple[str, dict[str, str]]:
        """Return the URL without user information, and an `Authorization` header where there is one to send.

        RegistryError for a malformed netrc.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
        if parts.username is not None:
            pair = (unquote(parts.username), unquote(parts.password or ""))
        else:
            netloc = parts.netloc.rpartition("@")[2].lower()
            found = self._given.get(netloc) or self._given.get(host) or self._ask(bare)
            found = found or self._from_netrc().get(host)
            if found is None:
                return bare, {}
            pair = found
        token = base64.b64encode(":".join(pair).encode()).decode()
        return bare, {"Authorization": f"Basic {token}"}

    def _from_netrc(self) -> Mapping[str, tuple[str, str]]:
        with self._lock:
            if self._netrc is None:
                self._netrc = _read_netrc()
            return self._netrc


def _read_netrc() -> dict[str, tuple[str, str]]:
    """Read the file that NETRC names, or ~/.netrc; empty where there is none."""
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    if not path.is_file():
        return {}
    import netrc

    try:
        hosts = netrc.netrc(str(path)).hosts
    except (netrc.NetrcParseError, UnicodeDecodeError, OSError) as error:
        # the parser's own text may quote the line, and so a password
        what = f"cannot be read as netrc: {type(error).__name__}"
        raise RegistryError(Issue(str(path), what, "see netrc(5), or name another file in NETRC")) from error
    return {
        host: (login, password or "") for host, (login, _, password) in hosts.items() if host != "default"
    }
