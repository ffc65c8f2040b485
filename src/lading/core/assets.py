"""Assets of a workspace and what refers to them: the nouns, and Azure ML's ways to write a reference."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal, get_args

from lading.core import canonical, typed
from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, SpecError
from lading.core.tracked import ModelURI

AssetKind = Literal["model", "environment", "connection", "endpoint", "deployment", "data", "code"]
KINDS: tuple[AssetKind, ...] = get_args(AssetKind)
LATEST = "latest"
"""The label of the version that was made last, which nobody gives by hand."""
EDITABLE = frozenset({"stage"})
"""Keys of an asset's document that may be edited, as its description, tags and properties may."""
PREFIX = "azureml:"
_PLURALS: dict[str, AssetKind] = {
    "data": "data",
    "onlineendpoints": "endpoint",
    **{f"{kind}s": kind for kind in KINDS},
}
_WORD = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*\Z")
_MAX_TAG = 128
_EXPECTED = "letters, digits, '_', '-' and single dots between them"
_FORMS = (
    "azureml:NAME:VERSION, azureml:NAME@LABEL, NAME:VERSION, azureml://registries/REGISTRY/{plural}/NAME/versions/"
    "VERSION or an ARM id"
)


def word_problem(text: str, what: str) -> str | None:
    """Say why a text cannot be a name, a version or a label (`what`); None where it can."""
    if _WORD.match(text):
        return None
    return f"got {what} {text!r}, expected {_EXPECTED}"


@dataclass(frozen=True, slots=True)
class AssetReference:
    """An asset by name, and by version or label. Law: `AssetReference.parse(str(r), r.kind) == r`."""

    kind: AssetKind
    name: str
    version: str | None = None
    label: str | None = None
    registry: str | None = None
    """The declared registry that it lies in; None is a workspace."""
    workspace: str | None = None
    """The workspace that an ARM id or a location names; None is the one at hand."""

    @classmethod
    def parse(cls, text: str, kind: AssetKind) -> AssetReference:
        """Read any of Azure ML's forms; raise SpecError for what is none, or names another kind.

        Forms: `[azureml:]NAME[:VERSION|@LABEL]`, `azureml://[registries/R|workspaces/W|locations/L/workspaces/W|
        subscriptions/…/workspaces/W]/KINDs/NAME[/versions/V|/labels/L]`, `[azureml:]/subscriptions/…`.
        """
        bare = text.strip()
        if "{{" in bare or (bare.startswith("<") and bare.endswith(">")):
            raise _refusal(kind, text, "is a placeholder", "write the name and version in its place")
        path = bare.removeprefix(PREFIX)
        found = _location(path.strip("/"), kind, text) if path.startswith("/") else _short(path, kind, text)
        problems = [
            problem
            for what, word in (
                ("name", found.name),
                ("version", found.version),
                ("label", found.label),
                ("registry", found.registry),
                ("workspace", found.workspace),
            )
            if word is not None and (problem := word_problem(word, what))
        ]
        if problems:
            raise SpecError(*(Issue(f"{kind} {text!r}", problem) for problem in problems))
        return found

    def __str__(self) -> str:
        """Print the reference in its shortest form."""
        if self.registry is None and self.workspace is None:
            end = f":{self.version}" if self.version else f"@{self.label}" if self.label else ""
            return f"{PREFIX}{self.name}{end}"
        where = f"registries/{self.registry}" if self.registry else f"workspaces/{self.workspace}"
        end = f"/versions/{self.version}" if self.version else f"/labels/{self.label}" if self.label else ""
        return f"{PREFIX}//{where}/{plural(self.kind)}/{self.name}{end}"

    def at(self, version: str) -> AssetReference:
        """Return the reference to one version."""
        return replace(self, version=version, label=None)


@dataclass(frozen=True, slots=True)
class AssetFile:
    """A file of an asset. `path` is relative, with forward slashes."""

    path: str
    digest: Digest
    size_bytes: int
    is_executable: bool = False


@dataclass(frozen=True, slots=True)
class Asset:
    """One version of an asset. What `content` names never changes; the rest may be edited.

    The files of a model lie as in `AZUREML_MODEL_DIR`: a folder keeps its own name, a single file lies flat.
    Law: `Asset.from_json(asset.to_json()) == asset`.
    """

    kind: AssetKind
    name: str
    version: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    """The rest of its YAML, as JSON values."""
    files: tuple[AssetFile, ...] = ()
    created: str = ""
    """When, in ISO 8601 and UTC, to the microsecond: what `@latest` goes by."""
    archived: bool = False

    @property
    def reference(self) -> AssetReference:
        """Refer to this version."""
        return AssetReference(self.kind, self.name, self.version)

    @property
    def content(self) -> Digest:
        """Name what may not change under one version: kind, document but for its stage, and files."""
        files = [typed.to_json(one) for one in sorted(self.files, key=lambda one: one.path)]
        document = {key: value for key, value in self.document.items() if key not in EDITABLE}
        return Digest.of(canonical.encode({"kind": self.kind, "document": document, "files": files}))

    @property
    def size_bytes(self) -> int:
        """Sum its files."""
        return sum(one.size_bytes for one in self.files)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return typed.to_json(self)

    @classmethod
    def from_json(cls, document: object, where: str) -> Asset:
        """Read what `to_json` wrote; raise IntegrityError for anything else, and for paths that lead away."""
        asset = typed.from_json(cls, document, where)
        issues = _file_problems(asset.files, where)
        for what, word in (("name", asset.name), ("version", asset.version)):
            if problem := word_problem(word, what):
                issues.append(Issue(where, problem))
        if issues:
            raise IntegrityError(*issues)
        return asset


@dataclass(frozen=True, slots=True)
class Used:
    """An asset that a package was made from."""

    role: str
    """`model`, `environment`, `code`, `inputs[0]`."""
    reference: str
    """With its version, and the registry where it lies in one."""
    content: Digest


@dataclass(frozen=True, slots=True)
class AssetDraft:
    """An asset as its YAML describes it, before it has a version. Paths are absolute."""

    kind: AssetKind
    name: str | None = None
    version: str | None = None
    """None is the next one."""
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    """The rest of its YAML, as JSON values, without the path of what is uploaded."""
    path: Path | None = None
    """The file or folder that is uploaded with it."""
    file: Path | None = None
    """The YAML that it was read from."""
    uri: ModelURI | None = None
    """What stands in the path's place until that is on this machine: a tracking server keeps it."""


def is_below(path: str) -> bool:
    """Tell whether a relative path stays below the folder that it is relative to."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def _file_problems(files: tuple[AssetFile, ...], where: str) -> list[Issue]:
    """Tell what cannot be written: paths that lead away, stand twice or below a file, and negative sizes."""
    paths = [one.path for one in files]
    known = set(paths)
    issues = [
        Issue(where, f"got the path {one!r}, expected one below the asset")
        for one in paths
        if not is_below(one)
    ]
    if len(known) < len(paths):
        twice = next(one for one, other in pairwise(sorted(paths)) if one == other)
        issues.append(Issue(where, f"got the path {twice!r} twice"))
    issues += [
        Issue(where, f"got the path {one!r}, and {str(above)!r} is a file")
        for one in paths
        for above in PurePosixPath(one).parents
        if str(above) in known
    ]
    issues += [
        Issue(where, f"got {one.size_bytes} bytes for {one.path!r}") for one in files if one.size_bytes < 0
    ]
    return issues


def plural(kind: AssetKind) -> str:
    """Return the word of locations and repositories: `models`."""
    return kind if kind == "data" else f"{kind}s"


def tag_of(name: str, version: str) -> str:
    """Return the tag of a version, `NAME..VERSION`; raise SpecError where it would be no tag."""
    tag = f"{name}..{version}"
    if len(tag) > _MAX_TAG:
        what = f"got name and version of {len(tag) - 2} characters, expected {_MAX_TAG - 2} at most"
        raise SpecError(Issue(f"{name}:{version}", what))
    return tag


def _short(text: str, kind: AssetKind, whole: str) -> AssetReference:
    """Read `NAME`, `NAME:VERSION` or `NAME@LABEL`."""
    name, at, label = text.rpartition("@")
    if at:
        return AssetReference(kind, name, label=label)
    name, colon, version = text.partition(":")
    if not name or "/" in text:
        raise _refusal(kind, whole, "is no reference", f"write {_FORMS.format(plural=plural(kind))}")
    return AssetReference(kind, name, version if colon else None)


def _location(text: str, kind: AssetKind, whole: str) -> AssetReference:
    """Read `…/KINDs/NAME[/versions/V|/labels/L]`: pairs of a word and its value."""
    parts = text.split("/")
    pairs: dict[str, str] = {}
    for key, value in zip(parts[::2], parts[1::2], strict=False):
        pairs[key.lower()] = value
    kinds = [key for key in pairs if key in _PLURALS]
    has_both = {"versions", "labels"} <= pairs.keys()
    if len(parts) % 2 or len(kinds) != 1 or has_both or not all(parts):
        raise _refusal(kind, whole, "is no reference", f"write {_FORMS.format(plural=plural(kind))}")
    if _PLURALS[kinds[0]] != kind:
        raise _refusal(kind, whole, f"refers to {plural(_PLURALS[kinds[0]])}, expected {plural(kind)}")
    known = {*kinds, "versions", "labels", "registries", "workspaces", "locations"}
    known |= {"subscriptions", "resourcegroups", "providers"}
    if unknown := [one for one in pairs if one not in known]:
        raise _refusal(kind, whole, f"has the part {unknown[0]!r}, which lading does not know")
    return AssetReference(
        kind,
        pairs[kinds[0]],
        pairs.get("versions"),
        pairs.get("labels"),
        pairs.get("registries"),
        None if "registries" in pairs else pairs.get("workspaces"),
    )


def _refusal(kind: AssetKind, text: str, what: str, fix: str | None = None) -> SpecError:
    return SpecError(Issue(f"{kind} {text!r}", what, fix))
