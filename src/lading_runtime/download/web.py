"""An http(s) URL and a range in, its bytes out. Redirects stay on the web, and never leave TLS.

Proxies (`HTTPS_PROXY`, `NO_PROXY`) and `SSL_CERT_FILE` are honoured, as urllib and OpenSSL do.
"""

from __future__ import annotations

import email.message
import http.client
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

from lading_runtime.download.failure import FetchError

TIMEOUT_S = 30.0
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")
_WEB = ("http", "https")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_FIXES = {
    401: "give credentials: a docker config that DOCKER_CONFIG names, LADING_SOURCE_TOKEN, "
    "or LADING_SOURCE_USERNAME and LADING_SOURCE_PASSWORD",
    403: "these credentials may not read it: ask for access, or give others",
    404: "it is not there: push it, or name another place with LADING_MODEL_SOURCE",
}
_MAX_PAUSE_S = 60.0


class Body(NamedTuple):
    """What is read, and at which byte of the file it begins."""

    stream: Any
    start: int


class Refused(FetchError):  # noqa: N818 - what it is
    """A server's answer that is no success."""

    def __init__(self, status: int, url: str, headers: Mapping[str, str]) -> None:
        """Say which; what may pass is not final."""
        waits = status in {408, 425, 429} or status >= 500
        try:
            pause_s = min(float(headers.get("Retry-After") or 0.0), _MAX_PAUSE_S)
        except ValueError:
            pause_s = 0.0
        super().__init__(
            f"{public(url)} answered {status}",
            _FIXES.get(status, ""),
            final=not waits,
            pause_s=max(0.0, pause_s),
        )
        self.status = status
        self.headers = headers


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(  # noqa: PLR0917 - the base's own
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        old, new = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if new.scheme not in _WEB or (old.scheme == "https" and new.scheme != "https"):
            fp.close()
            what = f"{public(req.full_url)} redirects from {old.scheme} to {new.scheme!r}, which is refused"
            raise FetchError(what, final=True)
        asked = urllib.request.Request(newurl, headers=dict(req.headers))  # noqa: S310 - looked at above
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            asked.remove_header("Authorization")
        return asked


class _NoDefault(urllib.request.HTTPDefaultErrorHandler):
    def http_error_default(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, hdrs: email.message.Message
    ) -> Any:
        fp.close()
        raise Refused(code, req.full_url, dict(hdrs.items()))


def _opener() -> urllib.request.OpenerDirector:
    """Make one that knows the web alone: no file, ftp or data URL is ever opened by it."""
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
        _NoDefault(),
    ):
        made.add_handler(handler)
    return made


_OPENER = _opener()


def request(url: str, headers: Mapping[str, str]) -> Any:
    """Ask; return the open answer. Refused for a status that is no success, FetchError for all else."""
    asked = urllib.request.Request(url, headers={"User-Agent": "lading", **headers})  # noqa: S310 - no other is known
    try:
        return _OPENER.open(asked, timeout=TIMEOUT_S)
    except FetchError:
        raise
    except urllib.error.HTTPError as error:  # of redirects that lead nowhere
        error.close()
        raise FetchError(f"{public(url)}: {reason(error)}", final=True) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise FetchError(f"{public(url)}: {reason(error)}") from error


def get(url: str, start: int, end: int, size_bytes: int, headers: Mapping[str, str]) -> Body:
    """Ask for bytes [start, end) of a file of this size; the body may begin earlier, without ranges."""
    is_part = start > 0 or end < size_bytes
    asked = {**headers, "Accept-Encoding": "identity"}
    if is_part:
        asked["Range"] = f"bytes={start}-{end - 1}"
    answer = request(url, asked)
    try:
        return Body(answer, _begin(answer, url, start, size_bytes))
    except FetchError:
        answer.close()
        raise


def _begin(answer: Any, url: str, start: int, size_bytes: int) -> int:
    """Check what the server says of its answer; its bytes are counted and digested all the same."""
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchError(f"{public(url)} answers in another encoding than was asked for", final=True)
    length = answer.headers.get("Content-Length")
    if answer.status == 206:
        told = _RANGE.match(answer.headers.get("Content-Range", ""))
        if told is None or int(told[1]) != start:
            raise FetchError(f"{public(url)} answers with another range than was asked for", final=True)
        if told[3] not in {"*", str(size_bytes)}:
            raise FetchError(_other_size(url, told[3], size_bytes), final=True)
        return start
    if length is not None and length != str(size_bytes):
        raise FetchError(_other_size(url, length, size_bytes), final=True)
    return 0


def _other_size(url: str, got: str, expected: int) -> str:
    return f"{public(url)} has {got[:20]} bytes, and the bill says {expected}: it is another file"


def is_private(url: str) -> bool:
    """Tell whether credentials may be sent there: by TLS, or within this machine."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def is_loopback(host: str) -> bool:
    """Tell whether `host` (with or without a port) is this machine."""
    return urllib.parse.urlsplit(f"//{host}").hostname in _LOOPBACK


def public(url: str) -> str:
    """Print a URL without credentials and query, which may be a secret.

    >>> public("https://me:pw@example.org/a?sig=abc")
    'https://example.org/a'
    """
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def reason(error: BaseException) -> str:
    """Say what went wrong, in the words of the system where it has some."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException):
        return reason(inner)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
