"""A URL and a digest in; a local file with exactly those bytes out.

Sources: RFC 9110 (13.1.5 If-Range, 14 ranges, 10.2.3 Retry-After, 15.4 redirection), netrc(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from lading.core.digest import CHUNK_BYTES, Digest
from lading.core.errors import IntegrityError, Issue, RegistryError, disk_fix
from lading.core.ports import Event, Events, ignore
from lading.fetch.credentials import Ask, Credentials, nobody
from lading.fetch.downloads import Downloads, KeptText
from lading.http.client import Client, Response, Transient, public
from lading.http.partial import Partial
from lading.http.patience import Patience

_WANTED = frozenset({200, 206, 304, 416})
_PIECE_BYTES = 1 << 18
_REPLACED = "lock again if its publisher replaced it"


class HttpFetch:
    """The `Fetch` port over HTTP(S) and `file:` URLs, for many threads; events come from all of them."""

    def __init__(
        self,
        folder: Path,
        *,
        offline: bool = False,
        credentials: Mapping[str, tuple[str, str]] | None = None,
        ask: Ask = nobody,
        proxies: Mapping[str, str] | None = None,
        events: Events = ignore,
        attempts: int = 5,
        backoff_s: float = 0.3,
    ) -> None:
        """Keep downloads in `folder`.

        `credentials` are user and password by host, or `host:port`, and are sent to no other; `ask` tells
        them by URL. `proxies` are
        by host and come before HTTP_PROXY and its kin. A try that fails is repeated after `backoff_s`, twice
        that, and so on; after `attempts` tries that brought nothing the error is raised.
        """
        self._downloads = Downloads(folder)
        self._offline = offline
        self._client = Client(Credentials(credentials or {}, ask).apart, proxies=proxies)
        self._events = events
        self._patience = Patience("fetch", events, attempts, backoff_s)

    def __enter__(self) -> HttpFetch:  # noqa: PYI034 Self needs Python 3.11
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._client.close()

    def file(self, url: str, digest: Digest, size_bytes: int | None = None) -> Path:
        """Return a local file with these contents, downloading and checking it if it is not there yet.

        IntegrityError when the bytes or their number are not the expected ones; RegistryError when the URL
        cannot be had, also for lack of disk space.
        """
        if found := self._downloads.find(digest, size_bytes):
            return found
        if self._offline and not _is_local(url):
            raise RegistryError(_offline(url))
        try:
            with self._downloads.partial(digest) as partial:
                if found := self._downloads.find(digest, size_bytes):
                    partial.discard()
                    return found
                return self._fill(partial, url, size_bytes)
        except OSError as error:
            raise RegistryError(_unwritable(error, self._downloads.folder)) from error

    def text(self, url: str, limit_bytes: int = 64 << 20) -> bytes:
        """Return a document of at most `limit_bytes` whose digest is not known yet.

        A text that the server says is unchanged is not sent again; offline, the last one received is
        returned. IntegrityError for a longer one; RegistryError if it cannot be had.
        """
        if _is_local(url):
            return _bounded(_local_path(url), url, limit_bytes)
        kept = self._downloads.recall(url)
        if self._offline:
            if kept is None:
                raise RegistryError(_offline(url))
            return kept.body
        text = self._patience.persist(url, lambda: self._read(url, kept, limit_bytes))
        if text is not kept:
            try:
                self._downloads.remember(url, text)
            except OSError as error:
                raise RegistryError(_unwritable(error, self._downloads.folder)) from error
        return text.body

    def size_bytes(self, url: str) -> int | None:
        """Ask how long a file is, without its bytes; None where the server does not tell.

        RegistryError if it cannot be had.
        """
        if _is_local(url):
            return _length(_local_path(url), url)
        if self._offline:
            raise RegistryError(_offline(url))

        def ask() -> int | None:
            with _asked(self._client, "HEAD", url, {}) as response:
                return response.length_bytes if response.status == 200 else None

        return self._patience.persist(url, ask)

    def _fill(self, partial: Partial, url: str, size_bytes: int | None) -> Path:
        """Bring a download to its end and seal it."""
        try:
            if _is_local(url):
                return self._copy(partial, url, size_bytes)
            had_bytes = partial.size_bytes
            receipt = _Receipt(partial, self._client, self._events, url, size_bytes)
            self._patience.persist(url, receipt, lambda: partial.size_bytes)
            if had_bytes and not partial.is_whole():
                # the beginning that an earlier run left may be what is wrong
                partial.restart()
                self._patience.persist(url, receipt, lambda: partial.size_bytes)
            return partial.seal(public(url), _REPLACED)
        except (IntegrityError, OSError):
            partial.discard()
            raise

    def _copy(self, partial: Partial, url: str, size_bytes: int | None) -> Path:
        """Copy a local file, so that a later change of it does no harm."""
        path = _local_path(url)
        found_bytes = _length(path, url)
        if size_bytes is not None and found_bytes != size_bytes:
            raise IntegrityError(_wrong_length(url, f"{found_bytes} bytes", size_bytes))
        partial.restart()
        try:
            source = path.open("rb")
        except OSError as error:
            raise RegistryError(Issue(public(url), f"cannot be read: {error.strerror}")) from error
        with source:
            while chunk := source.read(CHUNK_BYTES):
                partial.write(chunk)
        return partial.seal(public(url), _REPLACED)

    def _read(self, url: str, kept: KeptText | None, limit_bytes: int) -> KeptText:
        with _asked(self._client, "GET", url, kept.validators if kept else {}) as response:
            if response.status == 304 and kept is not None:
                return kept
            body = response.text(limit_bytes)
            if body is None:
                raise IntegrityError(Issue(public(url), f"longer than {limit_bytes} bytes"))
            return KeptText(body, response.validators)


class _Receipt:
    """One try after another to receive the rest of a file; remembers what the server calls its version."""

    def __init__(
        self, partial: Partial, client: Client, events: Events, url: str, expected_bytes: int | None
    ) -> None:
        self._partial, self._client, self._events = partial, client, events
        self._url, self._expected_bytes = url, expected_bytes
        self._tag: str | None = None

    def __call__(self) -> None:
        """Ask for what is missing, and write it as it comes."""
        partial, expected_bytes = self._partial, self._expected_bytes
        if expected_bytes is not None and partial.size_bytes > expected_bytes:
            partial.restart()
        if partial.size_bytes and partial.size_bytes == expected_bytes:
            return
        headers = {"Range": f"bytes={partial.size_bytes}-"} if partial.size_bytes else {}
        if headers and self._tag:
            headers["If-Range"] = self._tag
        with _asked(self._client, "GET", self._url, headers) as response:
            self._receive(response)

    def _receive(self, response: Response) -> None:
        partial, expected_bytes = self._partial, self._expected_bytes
        if response.status != 206 or response.range_start != partial.size_bytes:
            partial.restart()
            if response.status != 200:
                raise Transient("the server sent another part than was asked for")
        self._tag = response.strong_tag
        total_bytes = response.total_bytes
        if expected_bytes is None:
            expected_bytes = total_bytes
        if total_bytes not in {None, expected_bytes}:
            raise IntegrityError(_wrong_length(self._url, f"{total_bytes} bytes", expected_bytes))
        name = urlsplit(self._url).path.rpartition("/")[2]
        for chunk in response.raw(_PIECE_BYTES):
            if expected_bytes is not None and partial.size_bytes + len(chunk) > expected_bytes:
                raise IntegrityError(_wrong_length(self._url, "more", expected_bytes))
            partial.write(chunk)
            self._events(Event("fetch", "progress", name, partial.size_bytes, expected_bytes))
        if expected_bytes is not None and partial.size_bytes < expected_bytes:
            raise Transient(f"the connection ended after {partial.size_bytes} of {expected_bytes} bytes")


@contextmanager
def _asked(client: Client, method: str, url: str, headers: Mapping[str, str]) -> Iterator[Response]:
    """Ask, and let only wanted statuses through: RegistryError for the others."""
    with client.send(method, url, headers) as response:
        if response.status not in _WANTED:
            fix = None
            if response.status in {401, 403, 407}:
                host = urlsplit(response.url).hostname
                fix = f"give credentials for {host!r} in netrc or in the environment"
            raise RegistryError(Issue(public(response.url), response.line, fix))
        yield response


def _is_local(url: str) -> bool:
    return url.startswith("file:")


def _local_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in {"", "localhost"}:
        raise RegistryError(Issue(public(url), "names another machine; expected file:///path"))
    return Path(unquote(parts.path))


def _length(path: Path, url: str) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise RegistryError(Issue(public(url), f"cannot be read: {error.strerror}")) from error


def _bounded(path: Path, url: str, limit_bytes: int) -> bytes:
    if _length(path, url) > limit_bytes:
        raise IntegrityError(Issue(public(url), f"longer than {limit_bytes} bytes"))
    try:
        return path.read_bytes()
    except OSError as error:
        raise RegistryError(Issue(public(url), f"cannot be read: {error.strerror}")) from error


def _wrong_length(url: str, got: str, expected_bytes: int | None) -> Issue:
    return Issue(public(url), f"got {got}, expected {expected_bytes} bytes", "lock again if it was replaced")


def _offline(url: str) -> Issue:
    return Issue(public(url), "not in the cache, and lading is offline", "run once without --offline")


def _unwritable(error: OSError, folder: Path) -> Issue:
    what = f"cannot be written: {error.strerror or error}"
    return Issue(str(folder), what, disk_fix(error))
