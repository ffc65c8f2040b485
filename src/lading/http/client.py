"""A request in; a response, or a failure told apart by whether it may pass, out.

The one file that knows httpx2. It follows redirects itself: each host gets its own credentials or none.
Sources: RFC 9110 (10.2.3 Retry-After, 14 ranges, 15.4 redirection).
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit, urlunsplit

from lading.core.errors import Issue, RegistryError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    import httpx2

Authorize = Callable[[str], tuple[str, Mapping[str, str]]]
"""A URL in; the URL to ask, without user information, and the headers that log in to its host out."""
Body = bytes | Callable[[], Iterable[bytes]]
"""What is sent: bytes, or a function that gives them anew, a piece at a time, for each try."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEP_BODY = frozenset({307, 308})
_MOST_REDIRECTS = 10
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (?P<start>\d+)-\d+/(?P<total>\d+|\*)\Z")
_READ_TIMEOUT_S, _CONNECT_TIMEOUT_S = 30.0, 10.0
_CONNECTIONS = 32
_DISTRUST = "name the certificates of your network in SSL_CERT_FILE"
_UNREACHED = "check the name, the network and the proxies; --offline, where there is one, uses the cache"
_STRAIGHT_BYTES = 1 << 20
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"})
"""What OpenSSL calls an answer that is no TLS."""


class Transient(Exception):  # noqa: N818 it never leaves the rooms that ask again
    """A failure that may pass."""

    def __init__(self, what: str, *, wait_s: float | None = None, fix: str | None = None) -> None:
        """Say what failed, how long the server asks to wait, and what to do when it does not pass."""
        super().__init__(what)
        self.wait_s, self.fix = wait_s, fix


class NotSpoken(Transient):
    """The other side does not speak TLS."""


def origin(url: str) -> tuple[str, str, int | None]:
    """Return what a password may be sent to: scheme, host and port (RFC 6454)."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def nobody(url: str) -> tuple[str, Mapping[str, str]]:
    """Log in nowhere."""
    return url, {}


def public(url: str) -> str:
    """Return a URL fit for messages: without user information, query and fragment, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class Response:
    """A response that may be read once."""

    def __init__(self, response: httpx2.Response, url: str) -> None:
        """Wrap an open response."""
        self._response, self.url = response, url
        self.status = response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields, by name in any case."""
        return self._response.headers

    @property
    def links(self) -> Mapping[str, str]:
        """The targets of `Link` header fields by relation (RFC 8288)."""
        return {
            relation: urljoin(self.url, link["url"])
            for relation, link in self._response.links.items()
            if relation is not None and "url" in link
        }

    @property
    def line(self) -> str:
        """What the server answers, for people."""
        return f"the server answers {self.status} {self._response.reason_phrase}".rstrip()

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

    def raw(self, piece_bytes: int | None = None) -> Iterator[bytes]:
        """Read the body as it was sent, in pieces as they come or of a size; Transient when it breaks off."""
        with _translated(self.url):
            if piece_bytes is None and (self.length_bytes or 0) > _STRAIGHT_BYTES and self._is_straight:
                yield from self._straight(self.length_bytes or 0)
            else:
                yield from self._response.iter_raw(piece_bytes)

    @property
    def _is_straight(self) -> bool:
        """Tell whether the rest of the connection is nothing but the body."""
        framed = "transfer-encoding" in self._response.headers or self._response.http_version != "HTTP/1.1"
        return not framed and "network_stream" in self._response.extensions

    def _straight(self, left_bytes: int) -> Iterator[bytes]:
        """Read a long body from its connection, which costs half of reading it through the parser.

        The parser is never told that it has ended, so the connection is not used again.
        """
        import httpcore2

        parsed = self._response.iter_raw()  # it would close the connection if it were let go
        stream = self._response.extensions["network_stream"]
        piece = next(parsed, b"")  # all that came with the headers
        while piece:
            yield piece
            left_bytes -= len(piece)
            if not left_bytes:
                return
            try:
                piece = stream.read(min(left_bytes, _STRAIGHT_BYTES), timeout=_READ_TIMEOUT_S)
            except (httpcore2.NetworkError, httpcore2.TimeoutException) as error:
                raise Transient(f"the connection broke: {str(error) or type(error).__name__}") from error
        raise Transient(f"the connection ended {left_bytes} bytes too early")

    def text(self, limit_bytes: int) -> bytes | None:
        """Read the body, uncompressed; None where it is longer than the limit. Transient when it breaks."""
        body = bytearray()
        for chunk in self.decoded():
            body += chunk
            if len(body) > limit_bytes:
                return None
        return bytes(body)

    def decoded(self) -> Iterator[bytes]:
        """Read the body, uncompressed; Transient when the connection breaks."""
        with _translated(self.url):
            yield from self._response.iter_bytes()


class Client:
    """A pool of connections that threads share, opened at the first request."""

    def __init__(
        self,
        authorize: Authorize | None = None,
        *,
        proxies: Mapping[str, str | None] | None = None,
        certificates: Mapping[str, Path] | None = None,
        trust: ssl.SSLContext | None = None,
        distrust: str = _DISTRUST,
        unreached: str = _UNREACHED,
    ) -> None:
        """Ask `authorize` for every host's credentials, where a request brings no other way to log in.

        `proxies` are by host and come before HTTP_PROXY and its kin, None is none; `certificates` are folders
        by `host:port`, as container engines have them: CAs in `*.crt`, `client.cert` with `client.key`.
        `trust` is what any other host is checked by, not the machine's CAs. `distrust` and `unreached` are
        what to do where a certificate is refused, and where nobody answers.
        """
        self._authorize = authorize or nobody
        self._proxies, self._certificates = proxies or {}, certificates or {}
        self._trust, self._distrust, self._unreached = trust, distrust, unreached
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None

    def close(self) -> None:
        """Close the pool."""
        with self._lock:
            if self._client:
                self._client.close()
            self._client = None

    @contextmanager
    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: Body | None = None,
        authorize: Authorize | None = None,
        answer_within_s: float = _READ_TIMEOUT_S,
        final: Container[int] = (),
    ) -> Iterator[Response]:
        """Send a request and follow redirects; a response with any other status is the caller's to judge.

        Transient for what may pass, but a status that is `final`; RegistryError for a URL that is refused.
        """
        import httpx2

        # what lies behind a digest or a length is wanted as it is
        wanted = {"Accept-Encoding": "identity", **headers}
        timeout = httpx2.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S, pool=None, read=answer_within_s)
        client = self._open()
        for _ in range(_MOST_REDIRECTS):
            bare, authorization = (authorize or self._authorize)(url)
            content = body() if callable(body) else body
            sent = {**wanted, **authorization}
            with (
                _translated(bare, self._distrust, self._unreached),
                client.stream(method, bare, headers=sent, content=content, timeout=timeout) as response,
            ):
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    if response.status_code not in final:
                        _check_passing(response)
                    yield Response(response, bare)
                    return
                if method not in {"GET", "HEAD"} and response.status_code not in _KEEP_BODY:
                    what = f"{method} is redirected with {response.status_code}, which would lose its body"
                    raise RegistryError(Issue(public(bare), what))
                url = _target(bare, response.headers["location"])
        raise RegistryError(Issue(public(url), f"redirected more than {_MOST_REDIRECTS} times"))

    def _open(self) -> httpx2.Client:
        with self._lock:
            if self._client is None:
                self._client = _client(self._proxies, self._certificates, self._trust)
            return self._client


def _client(
    proxies: Mapping[str, str | None], certificates: Mapping[str, Path], trust: ssl.SSLContext | None
) -> httpx2.Client:
    import httpx2

    limits = httpx2.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS)
    context = trust or _trust(None)
    try:
        own = {
            f"all://{host}": httpx2.HTTPTransport(verify=context, limits=limits, proxy=proxy)
            for host, proxy in proxies.items()
        }
        for host, folder in certificates.items():
            # the environment's proxies would not count for a transport of its own
            proxy = proxies.get(host) if host in proxies else _environment_proxy(host)
            checked = _trust(folder)
            own[f"https://{host}"] = httpx2.HTTPTransport(verify=checked, limits=limits, proxy=proxy)
        return httpx2.Client(verify=context, limits=limits, headers={"User-Agent": "lading"}, mounts=own)
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        what = "the proxy that the environment or apt names cannot be used"
        fix = "give HTTP_PROXY and HTTPS_PROXY as http://host:port"
        raise RegistryError(Issue("proxy", what, fix)) from error


def _environment_proxy(host: str) -> str | None:
    """Return the proxy that the environment names for HTTPS to a host."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    return None if proxy_bypass(host) else proxies.get("https") or proxies.get("all")


def _trust(folder: Path | None) -> ssl.SSLContext:
    """Trust the machine's CAs, or those of SSL_CERT_FILE and SSL_CERT_DIR, and the ones in a folder."""
    import ssl

    import httpx2

    where = "SSL_CERT_FILE"
    try:
        context = httpx2.create_ssl_context()
        for path in sorted(folder.glob("*.crt")) if folder else ():
            where = str(path)
            context.load_verify_locations(path)
        for path in sorted(folder.glob("*.cert")) if folder else ():
            where = str(path)
            context.load_cert_chain(path, path.with_suffix(".key"))
    except (OSError, ssl.SSLError) as error:
        what = f"the certificates cannot be read: {error}"
        raise RegistryError(Issue(where, what, "name a file of CA certificates in PEM")) from error
    return context


@contextmanager
def _translated(url: str, distrust: str = _DISTRUST, unreached: str = _UNREACHED) -> Iterator[None]:
    """Turn httpx2's errors into ours."""
    import httpx2

    try:
        yield
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
        raise RegistryError(Issue(public(url), "not a URL that can be fetched")) from error
    except httpx2.TransportError as error:
        certificate, is_spoken = _certificate_problem(error)
        if certificate:
            what = f"its certificate is refused: {certificate}"
            raise RegistryError(Issue(public(url), what, distrust)) from error
        if not is_spoken:
            raise NotSpoken("does not speak TLS") from error
        what = str(error) or type(error).__name__
        raise Transient(f"cannot be reached: {what}", fix=unreached) from error
    except httpx2.DecodingError as error:
        raise Transient(f"its compressed body is damaged: {error}") from error


def _certificate_problem(error: BaseException | None) -> tuple[str | None, bool]:
    """Tell why a certificate is refused, None where it is not, and whether the other side spoke TLS."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message, True
        if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
            return None, False
        error = error.__cause__ or error.__context__
    return None, True


def _check_passing(response: httpx2.Response) -> None:
    """Raise Transient for a status that says that the failure may pass."""
    if response.status_code in _PASSING:
        what = f"the server answers {response.status_code} {response.reason_phrase}".rstrip()
        raise Transient(what, wait_s=_retry_after(response.headers.get("retry-after", "")))


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
