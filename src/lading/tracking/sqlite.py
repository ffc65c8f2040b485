"""MLflow's tables in a file of SQLite, read and never written, by the standard library alone.

The tables are those of MLflow 2.0 to 3.17: what a version does not have yet (aliases, logged models,
`storage_location`) counts as empty.
Source: `mlflow/store/db_migrations`, `mlflow/store/*/dbmodels/models.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, RegistryError
from lading.tracking.kept import COMMIT, READY, Logged, Run, Version
from lading.tracking.made import made

_STATUS = {0: "UNSPECIFIED", 1: "PENDING", 2: READY, 3: "UPLOAD_FAILED"}
_MOST = 1000
_BUSY_S = 10.0


class SqliteStore:
    """A store in a file of SQLite; each question opens it anew."""

    is_local = True

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self._path = path
        self.name = f"sqlite:///{path}"

    def version(self, name: str, version: str) -> Version | None:
        """Find a version of a registered model."""
        return next((one for one in self.versions(name) if one.version == str(int(version))), None)

    def versions(self, name: str) -> Sequence[Version]:
        """List all versions of a registered model."""
        rows = self._rows("model_versions", {"name": name})
        return [
            Version(
                name,
                str(row["version"]),
                row.get("storage_location") or row.get("source") or "",
                row.get("run_id") or None,
                _model_id(row.get("source")),
                row.get("current_stage") or "None",
                row.get("status") or READY,
            )
            for row in rows
            if row.get("current_stage") != "Deleted_Internal"
        ]

    def aliases(self, name: str) -> Mapping[str, str]:
        """Tell the version of each alias of a registered model."""
        rows = self._rows("registered_model_aliases", {"name": name})
        return {str(row["alias"]): str(row["version"]) for row in rows}

    def names(self) -> Sequence[str]:
        """List registered models."""
        return [str(row["name"]) for row in self._rows("registered_models", {})]

    def run(self, run_id: str) -> Run | None:
        """Find a run."""
        for row in self._rows("runs", {"run_uuid": run_id}):
            key = {"run_uuid": run_id}
            tags = self._pairs("tags", key)
            metrics = self._rows("latest_metrics", key)
            numbers = ((row["key"], row["value"]) for row in metrics if not row.get("is_nan"))
            found = made(tags.get(COMMIT), numbers, self._pairs("params", key).items())
            return Run(run_id, str(row["experiment_id"]), row["artifact_uri"] or "", found)
        return None

    def logged(self, model_id: str) -> Logged | None:
        """Find a logged model."""
        return next(map(self._logged, self._rows("logged_models", {"model_id": model_id})), None)

    def logged_by(self, run: Run, name: str) -> Logged | None:
        """Find the last model that a run has logged under a name."""
        rows = self._rows("logged_models", {"source_run_id": run.run_id, "name": name})
        last = max(rows, key=lambda row: row.get("creation_timestamp_ms") or 0, default=None)
        return self._logged(last) if last else None

    def _logged(self, row: Mapping[str, Any]) -> Logged:
        key = {"model_id": row["model_id"]}
        tags = self._pairs("logged_model_tags", key, "tag_key", "tag_value")
        params = self._pairs("logged_model_params", key, "param_key", "param_value")
        rows = self._rows("logged_model_metrics", key)
        metrics = ((one["metric_name"], one["metric_value"]) for one in rows)
        return Logged(
            row["model_id"],
            row["name"],
            row["artifact_location"],
            row.get("source_run_id"),
            _STATUS.get(row.get("status", 2), str(row.get("status"))),
            made(tags.get(COMMIT), metrics, params.items()),
        )

    def _pairs(
        self, table: str, where: Mapping[str, str], key: str = "key", value: str = "value"
    ) -> dict[str, str]:
        return {str(row[key]): str(row[value]) for row in self._rows(table, where)}

    def _rows(self, table: str, where: Mapping[str, str]) -> list[dict[str, Any]]:
        """Read rows; none of a table or with a column that this version of MLflow has not."""
        try:
            # opened as a URI, it is neither made nor changed
            with closing(
                sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
            ) as base:
                base.row_factory = sqlite3.Row
                columns = {row["name"] for row in base.execute(f"PRAGMA table_info({table})")}
                if not columns or not columns.issuperset(where):
                    return []
                # the names are ours, the values are bound
                text = " AND ".join(f"{column} = ?" for column in where) or "1"
                query = f"SELECT * FROM {table} WHERE {text} LIMIT {_MOST}"  # noqa: S608
                return [dict(row) for row in base.execute(query, tuple(where.values()))]
        except sqlite3.Error as error:
            raise RegistryError(self._issue(error)) from error

    def _issue(self, error: sqlite3.Error) -> Issue:
        if not self._path.is_file():
            return Issue(
                self.name, "there is no such file", "set MLFLOW_TRACKING_URI to the store that has the model"
            )
        return Issue(self.name, f"cannot be read as a store of MLflow's: {error}")


def _model_id(source: str | None) -> str | None:
    """Return the id of the logged model that a version was registered from."""
    return source.removeprefix("models:/") if source and source.startswith("models:/m-") else None
