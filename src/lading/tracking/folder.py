"""MLflow's file store, `./mlruns`: YAML that is read, of MLflow 2 and 3, and never written.

`EXPERIMENT/RUN/meta.yaml`, `EXPERIMENT/models/ID/meta.yaml`, `models/NAME/version-N/meta.yaml`, and beside
them a file for each metric, parameter, tag and alias.
Source: `mlflow/store/{tracking,model_registry}/file_store.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import yaml

from lading.core.errors import Issue, RegistryError
from lading.tracking.kept import COMMIT, READY, Logged, Made, Run, Version
from lading.tracking.made import made

META = "meta.yaml"
_STATUS = {0: "UNSPECIFIED", 1: "PENDING", 2: READY, 3: "UPLOAD_FAILED"}
_MOST_BYTES = 1 << 20
_MOST = 1000


class FolderStore:
    """A store in a folder."""

    is_local = True

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read yet."""
        self._folder = folder
        self.name = str(folder)

    def version(self, name: str, version: str) -> Version | None:
        """Find a version of a registered model."""
        return self._version(name, self._below("models", name, f"version-{int(version)}"))

    def versions(self, name: str) -> Sequence[Version]:
        """List all versions of a registered model."""
        found = (self._version(name, one) for one in _listed(self._below("models", name), "version-"))
        return [one for one in found if one]

    def aliases(self, name: str) -> Mapping[str, str]:
        """Tell the version of each alias of a registered model."""
        return dict(_pairs(self._below("models", name, "aliases")))

    def names(self) -> Sequence[str]:
        """List registered models."""
        return [one.name for one in _listed(self._folder / "models") if (one / META).is_file()]

    def run(self, run_id: str) -> Run | None:
        """Find a run."""
        for experiment in self._experiments():
            folder = _step(experiment, run_id)
            if folder and (meta := _read(folder / META)):
                place = self._place(str(meta.get("artifact_uri", "")))
                return Run(run_id, experiment.name, place, _made(folder))
        return None

    def logged(self, model_id: str) -> Logged | None:
        """Find a logged model."""
        for experiment in self._experiments():
            folder = _step(experiment / "models", model_id)
            if folder and (meta := _read(folder / META)):
                return self._logged(folder, meta)
        return None

    def logged_by(self, run: Run, name: str) -> Logged | None:
        """Find the last model that a run has logged under a name."""
        models = self._below(run.experiment_id, "models")
        read = ((one, _read(one / META)) for one in _listed(models))
        fitting = [
            (folder, meta)
            for folder, meta in read
            if meta and (meta.get("source_run_id"), meta.get("name")) == (run.run_id, name)
        ]
        last = max(fitting, key=lambda one: one[1].get("creation_timestamp") or 0, default=None)
        return self._logged(*last) if last else None

    def _version(self, name: str, folder: Path) -> Version | None:
        meta = _read(folder / META)
        if not meta or meta.get("current_stage") == "Deleted_Internal":
            return None
        source = str(meta.get("source") or "")
        return Version(
            name,
            str(meta.get("version")),
            self._place(str(meta.get("storage_location") or source)),
            meta.get("run_id") or None,
            meta.get("model_id") or None,
            str(meta.get("current_stage") or "None"),
            str(meta.get("status") or READY),
        )

    def _logged(self, folder: Path, meta: Mapping[str, Any]) -> Logged:
        return Logged(
            folder.name,
            str(meta.get("name", "")),
            self._place(str(meta.get("artifact_location", ""))),
            meta.get("source_run_id") or None,
            _STATUS.get(meta.get("status", 2), str(meta.get("status"))),
            _made(folder),
        )

    def _place(self, location: str) -> str:
        """Return where artifacts lie: in this folder, if it was moved with them since."""
        scheme, _, path = location.rpartition(":")
        if scheme not in {"", "file"} or Path(unquote(path)).exists():
            return location
        parts = Path(unquote(path)).parts
        if ".." in parts:
            return location
        moved = (self._folder.joinpath(*parts[start:]) for start in range(1, len(parts)))
        return next((str(one) for one in moved if one.exists()), location)

    def _experiments(self) -> Iterator[Path]:
        if not self._folder.is_dir():
            fix = "set MLFLOW_TRACKING_URI to the store that has the model"
            raise RegistryError(Issue(self.name, "there is no such folder", fix))
        return (one for one in _listed(self._folder) if one.name not in {"models", ".trash"})

    def _below(self, *steps: str) -> Path:
        folder: Path | None = self._folder
        for step in steps:
            folder = _step(folder, step) if folder else None
        return folder or self._folder / "\0"


def _step(folder: Path, name: str) -> Path | None:
    """Go into a folder by a name that is no way out of it."""
    return None if "/" in name or "\0" in name or name in {"", ".", ".."} else folder / name


def _listed(folder: Path, prefix: str = "") -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.name.startswith(prefix) and one.is_dir())
    except (OSError, ValueError):
        return []


def _read(path: Path) -> dict[str, Any] | None:
    """Read a document; None where there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError):
        return None
    try:
        document = yaml.safe_load(data) if len(data) <= _MOST_BYTES else None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(Issue(str(path), f"is no YAML: {str(error).splitlines()[0]}")) from error
    return document if isinstance(document, dict) else None


def _pairs(folder: Path) -> Iterator[tuple[str, str]]:
    """Read a file for each name; a name may have slashes."""
    try:
        paths = sorted(one for one in folder.rglob("*") if one.is_file())[:_MOST]
    except (OSError, ValueError):
        return
    for path in paths:
        with path.open("rb") as file:
            yield (
                path.relative_to(folder).as_posix(),
                file.read(_MOST_BYTES).decode("utf-8", "replace").strip(),
            )


def _made(folder: Path) -> Made:
    commit = dict(_pairs(folder / "tags")).get(COMMIT)
    return made(commit, _numbers(folder / "metrics"), _pairs(folder / "params"))


def _numbers(folder: Path) -> Iterator[tuple[str, float]]:
    """Take the last line of each metric: its time, its value, its step, and at times a data set's digest."""
    for name, text in _pairs(folder):
        try:
            yield name, float(text.splitlines()[-1].split()[1])
        except (IndexError, ValueError):
            continue
