"""Bases: what their names say, and what is known of one that is an image."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from lading.core.errors import Issue, SpecError
from lading.core.image import Layer
from lading.core.reference import Reference

BASES = {"debian:bookworm": "3.11", "debian:trixie": "3.13", "debian:bullseye": "3.9"}
"""The bases that lading makes itself, and the Python that each brings, in the order of preference."""
Form = Literal["debian", "image", "oci", "oci-archive", "docker-archive", "path", "environment"]
_ON_DISK = frozenset({"oci", "oci-archive", "docker-archive", "path"})
_PATH = re.compile(r"(?:\.{1,2}/|/|~)|.*\.(?:tar|tar\.gz|tgz)\Z|[^:]*\.(?:tar|tar\.gz|tgz):")
_URL = re.compile(r"(docker|https?)://(?:([^/]*)@)?([^/]+)(/.*|\Z)", re.DOTALL)
_SCHEME = re.compile(r"([a-z][a-z0-9-]*):(?!//)(.*)\Z", re.DOTALL)
_ALMOST = 0.88  # 'debian:bookwrm' is, 'debian:bookworm-slim' is not
_EXPECTED = (
    "expected debian:bookworm, debian:trixie or debian:bullseye, an image (python:3.12-slim), oci:PATH, "
    "oci-archive:PATH, docker-archive:PATH, a path, or environment:NAME"
)


@dataclass(frozen=True, slots=True)
class BaseName:
    """A base as an author names it. Law: `str` tells nothing of the machine; equal names, equal texts."""

    form: Form
    name: str
    """The suite, the image's reference in full, the environment's reference, or a file's or folder's name."""
    path: Path | None = None
    """Where it lies on this machine, if it does."""
    tag: str | None = None
    """Which of the images that lie there."""

    @classmethod
    def parse(cls, text: str, folder: Path) -> BaseName:
        """Read the name of a base; paths are relative to `folder`. Raises SpecError for what is none."""
        if text in BASES:
            return cls("debian", text.removeprefix("debian:"))
        if near := difflib.get_close_matches(text, BASES, 1, _ALMOST):
            raise SpecError(Issue("base", f"got {text!r}, {_EXPECTED}", f"did you mean {near[0]!r}?"))
        scheme, rest = _scheme(text)
        if scheme == "environment":
            return cls("environment", str(_reference(rest, text)))
        if scheme in _ON_DISK - {"path"}:
            path, _, tag = rest.partition(":")
            if not path:
                raise SpecError(Issue("base", f"got {text!r}, expected {scheme}:PATH or {scheme}:PATH:TAG"))
            return cls._at(scheme, path, tag or None, folder)
        if _PATH.match(text) and "://" not in text:
            return cls._at("path", *_split(text, folder), folder)
        _refuse_url(text)
        return cls("image", str(_in_full(_reference(text.removeprefix("docker://"), text))))

    @classmethod
    def _at(cls, form: Form, text: str, tag: str | None, folder: Path) -> BaseName:
        path = (folder / Path(text).expanduser()).absolute()
        if not path.exists():
            siblings = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
            near = difflib.get_close_matches(path.name, siblings, 1)
            raise SpecError(
                Issue("base", f"{text!r} does not exist", f"did you mean {near[0]!r}?" if near else None)
            )
        return cls(form, path.resolve().name, path, tag)

    def __str__(self) -> str:
        """Print the name: of what lies on this machine the last part alone."""
        scheme = "" if self.form in {"image", "path"} else f"{self.form}:"
        tag = f":{self.tag}" if self.tag else ""
        return f"{scheme}{self.name}{tag}"


@dataclass(frozen=True, slots=True)
class Distribution:
    """What an image's files tell of its distribution; system packages are resolved against it.

    `status` is dpkg's record of what is installed (`/var/lib/dpkg/status`, or the files of
    `/var/lib/dpkg/status.d` joined), empty where there is none.
    """

    identifier: str
    """`ID` of os-release(5): `debian`, `ubuntu`, `alpine`; empty where it does not tell."""
    codename: str
    """`VERSION_CODENAME`: `bookworm`, `noble`; empty where it does not tell."""
    status: str
    has_dpkg: bool = True
    """Whether the record is dpkg's own file; else a package that is added gets a file in `status.d`."""
    is_merged: bool = True
    """Whether /bin, /lib and /sbin are links into /usr."""
    linker_cache: str = ""
    """`/etc/ld.so.cache` in base64, empty where there is none."""
    alternatives: tuple[str, ...] = ()
    """The names in `/etc/alternatives`: the choice is the image's."""


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that a package is laid upon: its layers as they are, and how it wants to be run."""

    layers: tuple[Layer, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """In numbers (`1000:1000`), None where the image leaves it to root."""
    working_dir: str | None = None
    """None where the image names none, or the root."""
    certificates: str | None = None
    """The bundle of certificates in it, by path."""
    passwd: str | None = None
    """Its /etc/passwd, empty where it has none; None where that is no plain file."""
    has_tmp: bool = True
    distribution: Distribution = Distribution("", "", "")
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()


def _scheme(text: str) -> tuple[Form | None, str]:
    """Split what stands before the first colon, if it is one of ours."""
    if (found := _SCHEME.match(text)) and found[1] in get_args(Form):
        form: Form = found[1]  # type: ignore[assignment] # checked above
        if form not in {"debian", "image", "path"}:
            return form, found[2]
    return None, text


def _split(text: str, folder: Path) -> tuple[str, str | None]:
    """Split a path from the tag behind it: colons of what is there are the path's own."""
    ends = [len(text), *(one.start() for one in re.finditer(":", text))]
    there = (end for end in ends if (folder / Path(text[:end]).expanduser()).exists())
    end = next(there, ends[1] if len(ends) > 1 else ends[0])
    return text[:end], text[end + 1 :] or None


def _refuse_url(text: str) -> None:
    """Say how an image is named of which somebody gives an address; docker:// is skopeo's word for it."""
    if (found := _URL.match(text)) is None:
        return
    scheme, user, host, path = found.groups()
    if user is not None and path:
        fix = f"leave the credentials out, and log in: lading login {host}"
        raise SpecError(Issue("base", f"got {scheme}://***@{host}{path}, expected no credentials", fix))
    if scheme != "docker":
        fix = f"leave out '{scheme}://': {host}{path}"
        if scheme == "http":
            fix += f". A registry that speaks HTTP alone is named in LADING_MIRRORS: {host}=http://{host}"
        raise SpecError(Issue("base", f"got {text!r}, expected an image without '{scheme}://'", fix))


def _reference(text: str, whole: str) -> Reference:
    try:
        return Reference.parse(text)
    except SpecError as error:
        raise SpecError(Issue("base", f"got {whole!r}, {_EXPECTED}"), *error.issues) from error


def _in_full(reference: Reference) -> Reference:
    """Write a reference out, as engines understand it: Docker's registry, its library, the tag latest."""
    registry = reference.registry or "docker.io"
    registry = "docker.io" if registry in {"index.docker.io", "registry-1.docker.io"} else registry
    is_library = registry == "docker.io" and "/" not in reference.repository
    repository = f"library/{reference.repository}" if is_library else reference.repository
    tag = reference.tag or (None if reference.digest else "latest")
    return Reference(registry, repository, tag, reference.digest)
