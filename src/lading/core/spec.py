"""What a user asks for: the nouns that every dialect of the spec is parsed into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from lading.core.assets import Used
from lading.core.bases import BaseName
from lading.core.platform import Platform
from lading.core.signature import Signature
from lading.core.tracked import ModelURI, Record

PYTHONS = tuple(f"3.{minor}" for minor in range(8, 15))
"""The Pythons that a package may have: a base's own, or one that is added to it."""
CREDENTIALS_FIX = "use UV_INDEX_<NAME>_USERNAME and UV_INDEX_<NAME>_PASSWORD, netrc or a keyring"
DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
"""A distribution's name (PyPA specifications, "Names and normalization")."""
DISTRIBUTIONS = re.compile(r"[A-Za-z0-9._*?-]+\Z")
"""The same with the wildcards of file names."""
_INDEX_NAME = re.compile(r"[A-Za-z0-9._-]+=(?=[a-z]+://)")


def index_problem(text: str, *, is_index: bool = True) -> str | None:
    """Say what is wrong with the URL of an index, or of a place of wheels; None where nothing is.

    An index may be `NAME=URL`, so that its credentials can be told by name. The problem never repeats them.
    """
    try:
        parts = urlsplit(_INDEX_NAME.sub("", text, count=1) if is_index else text)
    except ValueError:
        return "got a malformed URL"
    if parts.username or parts.password:
        return f"credentials in the URL of {parts.hostname!r}"
    if is_index and parts.scheme not in {"http", "https", "file"}:
        return f"got {text!r}, expected an http, https or file URL"
    return None


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where Python packages come from; credentials never stand here, only in the environment or netrc."""

    url: str | None = None
    extra: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()


CondaWay = Literal["map", "solve"]
"""What becomes of the packages in a conda.yaml: wheels stand for them, or they are solved as conda would."""


CompileWay = Literal["auto", "off", "onnx", "treelite"]
"""Whether a model is served in a form that needs none of its libraries.

`auto` takes one only where it is bit-identical to the model and faster; the others may differ by a tolerance.
"""
TOLERANT: tuple[CompileWay, ...] = ("onnx", "treelite")

LoaderWay = Literal["lean", "mlflow"]
"""What loads an MLflow model: lading's own loaders, where they do the same, or MLflow itself."""


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs to replay, and the outputs to expect (None: shape, types and signature alone are checked).

    `inputs` is what a client would send to `/invocations`: an object with `dataframe_split`,
    `dataframe_records`, `instances` or `inputs`, a list of rows, or whatever a routine of one's own takes.
    """

    inputs: Any
    outputs: Any = None
    tolerance: float = 1e-6
    name: str = "example"


ServerName = Literal[
    "lading",
    "azureml_online",
    "azureml_batch",
    "mlflow",
    "mlserver",
    "bentoml",
    "cog",
    "torchserve",
    "triton",
    "tensorflow_serving",
    "custom",
]
"""The inference servers; each has a file in `servers`."""

Mode = Literal["copy", "download"]
"""Where a model is at start: in the image, or fetched and verified then (Azure ML's words)."""


@dataclass(frozen=True, slots=True)
class Route:
    """A port and a path of an HTTP server."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What an author asks of an inference server; None is what the server does of itself."""

    version: str | None = None
    """A version (`1.4.1`) or PEP 440 specifiers (`>=1.4,<2`) of the server's distribution."""
    liveness: Route | None = None
    readiness: Route | None = None
    scoring: Route | None = None
    command: tuple[str, ...] = ()
    """What starts a `custom` server, in exec form."""
    configuration: Mapping[str, str] = field(default_factory=dict)
    """The server's own keys."""
    model_name: str | None = None
    """What the model is called where it is registered; None is the package's name."""
    model_version: str | None = None
    model_folder: str | None = None
    """The name that the model's folder keeps in the image; None where the model is a single file."""
    model_mount_path: str | None = None
    """An absolute folder: the model lies in NAME/VERSION below it (Azure ML, online deployment YAML)."""
    mount_path: str | None = None
    """The absolute folder that the model lies in, whatever it is called (Azure ML, model package YAML)."""


INPUTS = "/opt/lading/inputs"
"""What a relative mount path of an input begins at."""


@dataclass(frozen=True, slots=True)
class Input:
    """A further asset of the package, besides its one model."""

    source: Path
    """A file or a folder."""
    path: str
    """The folder in the image, absolute, that has the file, or the folder's files."""
    mode: Mode = "copy"
    sources: tuple[str, ...] = ()
    """Where it is fetched from at start; see `PackageSpec.model_sources`."""


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """A package as its author describes it; None is "infer it". Paths are absolute."""

    path: Path | None = None
    """The file it was read from."""
    name: str | None = None
    version: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    model: Path | None = None
    loader: LoaderWay = "lean"
    base: BaseName | None = None
    accelerator: str | None = None
    """What PyTorch's builds are for, such as `cu126`; None is what the index has, and PyPI's are for CUDA."""
    python: str | None = None
    """`3.11`, or `3.11.4`, of which the first two numbers count."""
    requirements: tuple[str, ...] | Path | None = None
    drop: tuple[str, ...] = ()
    """Distributions that are left out, whoever asks for them."""
    keep: tuple[str, ...] = ()
    """Names, or patterns of them, of distributions that are not tried to be left out."""
    conda: CondaWay = "map"
    system_packages: tuple[str, ...] = ()
    indexes: Indexes = Indexes()
    code: Path | None = None
    """The folder (or file) of the inference routine."""
    entry: str | None = None
    """`file.py` (init/run), `file.py:function` or `file.py:Class`, relative to `code`."""
    server: str = "lading"
    server_settings: ServerSettings = ServerSettings()
    signature: Signature | None = None
    """What the author says of inputs, outputs and parameters: it wins over what the model tells."""
    mode: Mode = "copy"
    model_sources: tuple[str, ...] = ()
    """Where a model that is not in the image is fetched from at start, the first that has it.

    `oci://HOST/PATH` (its files are blobs, by their digests), a URL of http, https, file, s3, gs or az that
    ends in `/` (its files lie below), or the URL of the one file.
    """
    inputs: tuple[Input, ...] = ()
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[Path, ...] = ()
    examples: tuple[Example, ...] = ()
    platforms: tuple[Platform, ...] = ()
    allow_unsafe: tuple[str, ...] = ()
    """Globals (`module.name`) outside the allow-list that the author accepts."""
    used: tuple[Used, ...] = ()
    """The assets of a workspace that it is made from."""
    compile: CompileWay = "auto"
    compile_tolerance: float | None = None
    """How far a number of a TOLERANT form may be off, relative or absolute."""
    slim: bool = False
    """Whether tests, sources, static libraries and docs in the wheels of its environment are left out."""
    model_uri: ModelURI | None = None
    """What stands in the place of `model` until it is on this machine: a tracking server keeps it."""
    record: Record | None = None
    """How that model was made."""
