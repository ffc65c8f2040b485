"""The options that say what to package; they win over the spec file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lading.core.bases import BaseName
from lading.core.platform import Platform
from lading.core.spec import CondaWay, Indexes, LoaderWay, Mode, PackageSpec
from lading.pipeline import plan

AllowUnsafe = Annotated[
    tuple[str, ...], Parameter(negative="", help="Accept this global of the pickle, as module.name.")
]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class What:
    """What to package, where the spec does not say or is to be overridden."""

    python: Annotated[str | None, Parameter(help="Python version of the model's environment: 3.11.")] = None
    base: Annotated[
        str | None, Parameter(help="Base: debian:bookworm, python:3.12-slim, oci:PATH, environment:NAME, …")
    ] = None
    accelerator: Annotated[
        str | None, Parameter(help="What PyTorch's builds are for: cpu, cu126, rocm6.4, xpu.")
    ] = None
    platform: Annotated[
        tuple[str, ...], Parameter(negative="", help="Platform, such as linux/amd64; may be repeated.")
    ] = ()
    requirement: Annotated[
        tuple[str, ...], Parameter(alias="-r", negative="", help="A requirement; may be repeated.")
    ] = ()
    drop: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="A library that serving does not need; may be repeated."),
    ] = ()
    keep: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="A library not to try to leave out, or * for all; may be repeated."),
    ] = ()
    conda: Annotated[
        CondaWay | None, Parameter(help="Packages of a conda.yaml: map them to wheels, or solve them.")
    ] = None
    index_url: Annotated[str | None, Parameter(help="Python package index, without credentials.")] = None
    find_links: Annotated[
        tuple[str, ...], Parameter(negative="", help="Folder or page of wheels; may be repeated.")
    ] = ()
    code: Annotated[Path | None, Parameter(help="File or folder of the inference routine.")] = None
    entry: Annotated[
        str | None,
        Parameter(
            help="file.py, file.py:function or file.py:Class; of a SavedModel saved_model.pb:SIGNATURE."
        ),
    ] = None
    loader: Annotated[
        LoaderWay | None,
        Parameter(help="An MLflow model's: lean, without MLflow where that is the same, or mlflow."),
    ] = None
    mode: Annotated[
        Mode | None, Parameter(help="copy the model into the image, or download it at start.")
    ] = None
    model_source: Annotated[
        tuple[str, ...],
        Parameter(
            negative="", help="Where it is downloaded from: oci://, https://, s3://, …; may be repeated."
        ),
    ] = ()
    allow_unsafe: AllowUnsafe = ()

    def spec(self, target: str | Path | None) -> PackageSpec:
        """Read the spec of a model, a spec file or the current folder, then apply these options."""
        spec = plan.plan(target)
        changes: dict[str, object] = {
            "python": self.python or spec.python,
            "accelerator": self.accelerator or spec.accelerator,
            "base": BaseName.parse(self.base, Path.cwd()) if self.base else spec.base,
            "conda": self.conda or spec.conda,
            "code": self.code.absolute() if self.code else spec.code,
            "entry": self.entry or spec.entry,
            "loader": self.loader or spec.loader,
            "mode": self.mode or ("download" if self.model_source else spec.mode),
            "model_sources": self.model_source or spec.model_sources,
            "drop": (*spec.drop, *self.drop),
            "keep": (*spec.keep, *self.keep),
            "allow_unsafe": (*spec.allow_unsafe, *self.allow_unsafe),
        }
        if self.platform:
            changes["platforms"] = tuple(dict.fromkeys(map(Platform.parse, self.platform)))
        if self.requirement:
            changes["requirements"] = self.requirement
        if self.index_url or self.find_links:
            links = tuple(one if "://" in one else str(Path(one).absolute()) for one in self.find_links)
            old = spec.indexes
            changes["indexes"] = Indexes(self.index_url or old.url, old.extra, old.find_links + links)
        return replace(spec, **changes)  # type: ignore[arg-type]
