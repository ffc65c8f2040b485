"""A request in; a response whose failures are told apart by whether they may pass, out.

The one file that knows httpx2. It follows redirects itself: each host gets its own credentials or none.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from lading.core.errors import Issue, RegistryError
from lading.fetch.credentials import Credentials

if TYPE_CHECKING:
    import httpx2

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 10
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_WANTED = frozenset({200, 206, 304, 416})
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)\Z")
_READ_TIMEOUT_S, _CONNECT_TIMEOUT_S = 30.0, 10.0
_CONNECTIONS = 32


class Transient(Exception):  # noqa: N818 it never leaves the room
    """A failure that may pass."""

    def __init__(self, what: str, *, wait_s: float | None = None, fix: str | None = None) -> None:
        """Say what failed, how long the server asks to wait, and what to do when it does not pass."""
        super().__init__(what)
        self.wait_s, self.fix = wait_s, fix


def public(url: str) -> str:
    """Return a URL fit for messages: without user information, query and fragment, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Response:
    """A response with one of the statuses 200, 206, 304 and 416."""

    def __init__(self, response: httpx2.Response, url: str) -> None:
        """Wrap an open response."""
        self._response, self._url = response, url
        self.status = response.status_code

    @property
    def length_bytes(self) -> int | None:
        """How many bytes the body has, None where the server does not tell."""
        text = self._response.headers.get("content-length", "")
        is_plain = self._response.headers.get("content-encoding", "identity") == "identity"
        return int(text) if text.isdecimal() and is_plain else None

    @property
    def range_start(self) -> int | None:
        """Where the part begins that a 206 carries."""
        match = _CONTENT_RANGE.match(self._response.headers.get("content-range", ""))
        return int(match["start"]) if match else None

    @property
    def total_bytes(self) -> int | None:
        """How long the whole file is, None where the server does not tell."""
        if self.status != 206:
            return self.length_bytes
        match = _CONTENT_RANGE.match(self._response.headers.get("content-range", ""))
        return int(match["total"]) if match and match["total"].isdecimal() else None

    @property
    def strong_tag(self) -> str | None:
        """An entity tag that stands for these very bytes (RFC 9110, 8.8.3)."""
        tag = self._response.headers.get("etag", "")
        return tag if tag.startswith('"') else None

    @property
    def validators(self) -> dict[str, str]:
        """What to send next time, to be told that nothing changed."""
        pairs = (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
        return {ask: self._response.headers[told] for ask, told in pairs if told in self._response.headers}

    def raw(self, piece_bytes: int) -> Iterator[bytes]:
        """Read the body as it was sent; Transient when the connection breaks."""
        with _translated(self._url):
            yield from self._response.iter_raw(piece_bytes)

    def decoded(self) -> Iterator[bytes]:
        """Read the body, uncompressed; Transient when the connection breaks."""
        with _translated(self._url):
            yield from self._response.iter_bytes()


class Connection:
    """A pool of connections that threads share, opened at the first request."""

    def __init__(self, credentials: Mapping[str, tuple[str, str]], proxies: Mapping[str, str]) -> None:
        """Take user and password by host (or `host:port`), and proxies by host."""
        self._credentials = Credentials(credentials)
        self._proxies = proxies
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None

    def close(self) -> None:
        """Close the pool."""
        with self._lock:
            if self._client:
                self._client.close()
            self._client = None

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str]) -> Iterator[Response]:
        """Send a request and follow redirects.

        Transient for what may pass, RegistryError for a URL that is refused or not there.
        """
        # what lies behind a digest or a length is wanted as it is
        wanted = {"Accept-Encoding": "identity", **headers}
        client = self._open()
        for _ in range(_MOST_REDIRECTS):
            bare, authorization = self._credentials.apart(url)
            with (
                _translated(bare),
                client.stream(method, bare, headers={**wanted, **authorization}) as response,
            ):
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    _check_status(response, bare)
                    yield Response(response, bare)
                    return
                url = _target(bare, response.headers["location"])
        raise RegistryError(Issue(public(url), f"redirected more than {_MOST_REDIRECTS} times"))

    def _open(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = _client(self._proxies)
            return self._client


def _client(proxies: Mapping[str, str]) -> httpx2.Client:
    import ssl

    import httpx2

    try:
        # honours SSL_CERT_FILE and SSL_CERT_DIR
        context = httpx2.create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        what = f"the certificates cannot be read: {error}"
        raise RegistryError(Issue("SSL_CERT_FILE", what, "name a file of CA certificates in PEM")) from error
    limits = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    try:
        return httpx2.Client(
            verify=context,
            limits=limits,
            timeout=httpx2.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S, pool=None),
            headers={"User-Agent": "lading"},
            mounts={
                f"all://{host}": httpx2.HTTPTransport(verify=context, limits=limits, proxy=proxy)
                for host, proxy in proxies.items()
            },
        )
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        what = "the proxy that the environment or apt names cannot be used"
        fix = "give HTTP_PROXY and HTTPS_PROXY as http://host:port"
        raise RegistryError(Issue("proxy", what, fix)) from error


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn httpx2's errors into ours."""
    import httpx2

    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
        raise RegistryError(Issue(public(url), "not a URL that can be fetched")) from error
    except httpx2.TransportError as error:
        certificate = _certificate_problem(error)
        if certificate:
            fix = "name the certificates of your network in SSL_CERT_FILE"
            raise RegistryError(
                Issue(public(url), f"its certificate is refused: {certificate}", fix)
            ) from error
        what = str(error) or type(error).__name__
        fix = "check the network and the proxy settings, or use --offline with what is cached"
        raise Transient(f"cannot be reached: {what}", fix=fix) from error
    except httpx2.DecodingError as error:
        raise Transient(f"its compressed body is damaged: {error}") from error


def _certificate_problem(error: BaseException | None) -> str | None:
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None


def _check_status(response: httpx2.Response, url: str) -> None:
    """Let only wanted statuses through."""
    status = response.status_code
    if status in _WANTED:
        return
    what = f"the server answers {status} {response.reason_phrase}".rstrip()
    if status in _PASSING:
        raise Transient(what, wait_s=_retry_after(response.headers.get("retry-after", "")))
    fix = None
    if status in {401, 403, 407}:
        host = urlsplit(url).hostname
        fix = f"give credentials for {host!r} in netrc or in the environment"
    raise RegistryError(Issue(public(url), what, fix))


def _retry_after(text: str) -> float | None:
    """Read seconds or a date (RFC 9110, 10.2.3)."""
    if text.isdecimal():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _target(url: str, location: str) -> str:
    """Return where a redirect leads; refuse one that leaves HTTPS or HTTP."""
    target = urljoin(url, location)
    scheme, before = urlsplit(target).scheme, urlsplit(url).scheme
    if scheme not in {"http", "https"} or (before, scheme) == ("https", "http"):
        raise RegistryError(Issue(public(url), f"redirected from {before} to {scheme}, which is refused"))
    return target
