"""The URI of a tracking store in; the store of this machine that it names, or that MLflow would find, out."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from lading.core.errors import Issue, SpecError, without_secrets
from lading.tracking.folder import META, FolderStore
from lading.tracking.kept import Store
from lading.tracking.resolve import local_path
from lading.tracking.sqlite import SqliteStore

TRACKING, REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
FORMS = "a server's http:// or https:// URL, sqlite:///FILE, or a folder such as ./mlruns"
_FILE, _FOLDER = "mlflow.db", "mlruns"
_SERVE = "start `mlflow server` on it, and name that server's URL"
_DATABASES = {"postgresql", "mysql", "mssql", "sqlite"}


def local(variable: str, text: str) -> Store | None:
    """Open a store of this machine; None where nothing is named, nor found here. SpecError for others."""
    if not text:
        return _found() if variable == TRACKING else None
    parts = urlsplit(text)
    if parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        return SqliteStore(Path(unquote(parts.path[1:])).absolute())
    if parts.scheme == "file" or (not parts.scheme and text != "databricks"):
        return FolderStore(Path(local_path(text)).expanduser().absolute())
    got = without_secrets(f"{parts.scheme}://{parts.netloc}" if parts.scheme else text)
    fix = _SERVE if parts.scheme.partition("+")[0] in _DATABASES else None
    raise SpecError(Issue(variable, f"got {got!r}, expected {FORMS}", fix))


def _found() -> Store | None:
    """Find what MLflow would: a folder that has experiments, else a file of SQLite."""
    if any(Path(_FOLDER).glob(f"[0-9]*/{META}")):
        return FolderStore(Path(_FOLDER).absolute())
    return SqliteStore(Path(_FILE).absolute()) if Path(_FILE).is_file() else None
