"""Artifacts in S3, Google Cloud Storage or Azure's storage, by obstore: the extra `objects`.

Credentials are the cloud's own: its variables (`AWS_ACCESS_KEY_ID`, `GOOGLE_APPLICATION_CREDENTIALS`,
`AZURE_STORAGE_ACCOUNT_KEY`), or the machine's identity; and MLflow's `MLFLOW_S3_ENDPOINT_URL`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from lading.core.errors import Issue, RegistryError
from lading.http.client import Transient, public
from lading.tracking.files import Arriving, Entry, OtherPart

SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "wasb", "wasbs")
_PIECE_BYTES = 1 << 20
_TRUE = {"1", "true"}
_DENIED = "give the cloud's own credentials: its variables, or an identity of the machine"
_FINAL = {"PermissionDeniedError", "UnauthenticatedError", "InvalidPathError", "UnknownConfigurationKeyError"}


class Bucket:
    """A bucket."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        """Read `s3://BUCKET/…` and its like; nothing is asked of the cloud yet."""
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            fix = "pip install 'lading[objects]'"
            raise RegistryError(Issue(public(url), "obstore is not installed", fix)) from error
        parts = urlsplit(url)
        # Azure's older names of the same place
        scheme, host = parts.scheme.replace("wasb", "abfs"), parts.netloc
        if parts.scheme.startswith("wasb"):
            host = host.replace(".blob.", ".dfs.")
        self.name = f"{parts.scheme}://{host.rpartition('@')[2]}"
        self._obstore = obstore
        try:
            self._store: Any = from_url(f"{scheme}://{host}", **_options(parts.scheme, environ))
        except Exception as error:  # the library's own family has no common root
            raise RegistryError(Issue(self.name, _words(error), _DENIED)) from error

    def list(self, path: str) -> Sequence[Entry]:
        """List a folder; a key that has it as its beginning alone is no file in it."""
        try:
            found = self._obstore.list_with_delimiter(self._store, path or None)
        except Exception as error:
            raise self._refusal(path, error) from error
        folders = [
            Entry(one.rstrip("/").rpartition("/")[2], is_folder=True) for one in found["common_prefixes"]
        ]
        objects = [one for one in found["objects"] if one["path"].strip("/") != path]
        inner = (
            Entry(one["path"].rpartition("/")[2], is_folder=False, size_bytes=one["size"]) for one in objects
        )
        return [*folders, *inner]

    @contextmanager
    def open(self, path: str, start: int, tag: str | None) -> Iterator[Arriving]:
        """Open a file."""
        options: Any = {"if_match": tag, "range": {"offset": start}} if start and tag else {}
        try:
            got = self._obstore.get(self._store, path, options=options)
            meta = got.meta
        except Exception as error:
            if type(error).__name__ == "PreconditionError":
                raise OtherPart("the object is another by now") from error
            raise self._refusal(path, error, passing=True) from error
        yield Arriving(self._pieces(path, got), start if options else 0, meta["size"], meta["e_tag"])

    def _pieces(self, key: str, got: Any) -> Iterator[bytes]:  # noqa: ANN401 - obstore's result
        try:
            for piece in got.stream(min_chunk_size=_PIECE_BYTES):
                yield bytes(piece)
        except Exception as error:
            raise self._refusal(key, error, passing=True) from error

    def _refusal(self, key: str, error: Exception, *, passing: bool = False) -> Exception:
        kind = type(error).__name__
        where = f"{self.name}/{key}"
        if kind in {"NotFoundError", "FileNotFoundError"}:
            return RegistryError(Issue(where, "there is no such object"))
        if passing and kind not in _FINAL:
            return Transient(_words(error), fix=_DENIED)
        return RegistryError(Issue(where, _words(error), _DENIED))


def _options(scheme: str, environ: Mapping[str, str]) -> dict[str, Any]:
    if scheme != "s3":
        return {}
    endpoint = environ.get("MLFLOW_S3_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL", "")
    client: dict[str, Any] = {"allow_http": True} if endpoint.startswith("http://") else {}
    if environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in _TRUE:
        client["allow_invalid_certificates"] = True
    return {**({"endpoint": endpoint} if endpoint else {}), **({"client_options": client} if client else {})}


def _words(error: BaseException) -> str:
    """Return the first line of what the library says; the rest may quote requests."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:300]
