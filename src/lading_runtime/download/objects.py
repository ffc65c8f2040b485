"""A file in S3, Google Cloud Storage or Azure Blob Storage, and a range, in; its bytes out, by obstore.

The one file that imports obstore, which packages carry in an environment of its own, and only those with such
a source. Credentials are the cloud's own: variables (`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`,
`AZURE_STORAGE_ACCOUNT_KEY`), or the machine's identity.
"""

from __future__ import annotations

import io
import urllib.parse
from collections.abc import Mapping
from typing import Any

from lading_runtime.download import web
from lading_runtime.download.failure import FetchError
from lading_runtime.download.wanted import File

SCHEMES = ("s3", "gs", "az")
_MISSING = "add 'obstore' to the environment that starts it: a package with such a source has it"
_DENIED = "give the cloud's own credentials: its variables, or an identity of the machine"


class Bucket:
    """A prefix in a bucket, or one object."""

    def __init__(self, text: str, environ: Mapping[str, str]) -> None:
        """Read `s3://BUCKET/PREFIX/`; nothing is asked of the cloud yet."""
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            raise FetchError(f"{text}: obstore is not installed", _MISSING, final=True) from error
        parts = urllib.parse.urlsplit(text)
        self.name = f"{parts.scheme}://{parts.netloc}{parts.path}"
        self._path = urllib.parse.unquote(parts.path.lstrip("/"))
        plain = environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
        options: Any = {"client_options": {"allow_http": True}} if plain else {}
        self._get_range = obstore.get_range
        try:
            self._store: Any = from_url(f"{parts.scheme}://{parts.netloc}", **options)
        except Exception as error:  # the library's own family has no common root
            raise FetchError(f"{self.name}: {_words(error)}", _DENIED, final=True) from error

    def get(self, file: File, start: int, end: int) -> web.Body:
        """Read bytes [start, end) of a file."""
        path = self._path + file.path if not self._path or self._path.endswith("/") else self._path
        try:
            data = self._get_range(self._store, path, start=start, end=end) if end > start else b""
        except Exception as error:
            kind = type(error).__name__
            final = kind in {
                "NotFoundError",
                "PermissionDeniedError",
                "UnauthenticatedError",
                "FileNotFoundError",
            }
            fix = "" if "NotFound" in kind else _DENIED
            raise FetchError(f"{self.name}: {_words(error)}", fix, final=final) from error
        return web.Body(io.BytesIO(bytes(data)), start)


def _words(error: BaseException) -> str:
    """Return the first line of what the library says; the rest may quote requests."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]
