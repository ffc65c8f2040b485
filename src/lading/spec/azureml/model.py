"""A model's YAML, `az ml model create -f`: text → AssetDraft and back.

Source: azure-ai-ml 1.35.2, `_schema/assets/model.py`. Law: `parse(dump(draft, folder), path) == draft`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from lading.core.assets import AssetDraft
from lading.core.errors import SpecError
from lading.core.ports import Events, ignore
from lading.core.tracked import ModelURI, is_tracked
from lading.spec.azureml import text
from lading.spec.azureml.text import Place
from lading.spec.typed import read_text

ModelType = Literal["custom_model", "mlflow_model", "triton_model"]
_ELSEWHERE = {
    "azureml://jobs/": "the output of a job that ran on Azure",
    "azureml://datastores/": "a folder of a datastore on Azure",
    "azureml://": "a place on Azure",
    "": "a place elsewhere",
}


@dataclass(frozen=True, slots=True)
class Model:
    """The file, as it is written."""

    PRINTED: ClassVar = frozenset(
        {"id", "creation_context", "latest_version", "intellectual_property", "job_name", "utc_time_created"}
    )
    """Keys that Azure prints of one and passes over when it reads them."""

    name: str | None = None
    version: str | None = None
    type: ModelType = "custom_model"
    path: Place | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    stage: str | None = None
    flavors: Mapping[str, Any] | None = None
    datastore: str | None = None
    system_metadata: Mapping[str, Any] | None = None
    default_deployment_template: Any = None
    allowed_deployment_templates: tuple[Any, ...] = ()

    def draft(self, file: Path | None) -> AssetDraft:
        """Return what of it is kept."""
        rest = {
            "type": self.type,
            "stage": self.stage,
            "flavors": self.flavors,
            "datastore": self.datastore,
            "system_metadata": self.system_metadata,
            "default_deployment_template": self.default_deployment_template,
            "allowed_deployment_templates": list(self.allowed_deployment_templates) or None,
        }
        return AssetDraft(
            "model",
            self.name,
            self.version,
            self.description,
            self.tags,
            self.properties,
            {key: value for key, value in rest.items() if value is not None},
            self.path.path if self.path else None,
            file,
            ModelURI.parse(self.path) if self.path and is_tracked(self.path) else None,
        )


def load(path: Path | None, overrides: Sequence[str] = (), events: Events = ignore) -> AssetDraft:
    """Read a model's file, None where it is all in the overrides; raise SpecError with every issue."""
    return parse(read_text(path) if path else "", path, overrides, events)


def parse(
    written: str, path: Path | None, overrides: Sequence[str] = (), events: Events = ignore
) -> AssetDraft:
    """Read the text of the file at `path`; raise SpecError with every issue, each with line and column."""
    reader = text.Reader(path, overrides)
    found = reader.read(written, Model)
    if found.path is not None:
        _check_path(found.path, reader)
    elif not reader.issues:
        reader.complain("path", "is missing", "write path: FILE-OR-FOLDER, or give --path")
    if found.datastore:
        reader.warn("datastore", "is not applied: the files are kept in the workspace itself")
    reader.finish(events)
    return found.draft(path)


def dump(draft: AssetDraft, folder: Path | None = None) -> str:
    """Write a model as YAML; its path is relative to a folder, if it lies in it."""
    rest = dict(draft.document)
    rest["allowed_deployment_templates"] = tuple(rest.get("allowed_deployment_templates", ()))
    model = Model(
        draft.name,
        draft.version,
        path=Place(str(draft.path or draft.uri)) if draft.path or draft.uri else None,
        description=draft.description,
        tags=draft.tags,
        properties=draft.properties,
        **rest,
    )
    return text.dump(model, folder)


def _check_path(path: Place, reader: text.Reader) -> None:
    if is_tracked(path):
        try:
            ModelURI.parse(path)
        except SpecError as error:
            reader.complain("path", error.issues[0].what, error.issues[0].fix)
    elif path.path is None:
        what = next(words for prefix, words in _ELSEWHERE.items() if path.startswith(prefix))
        fix = "download it, and give its file or folder here"
        reader.complain("path", f"{str(path)!r} is {what}, which cannot be reached from here", fix)
    elif not path.path.exists():
        reader.complain("path", f"No such file or directory: {path}")
