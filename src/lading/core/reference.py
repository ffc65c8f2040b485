"""References: `[registry/]repository[:tag][@digest]`, as the OCI distribution specification has them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, Issue, SpecError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\Z")
_REGISTRY = re.compile(r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?)(?::[0-9]{1,5})?\Z")
_MAX_NAME = 255


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """The name of an image. Law: `str(Reference.parse(text)) == text`.

    A first component is a registry when it has a dot or a port, or is `localhost`; no registry is assumed.
    """

    registry: str | None
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference (distribution spec, "Pulling manifests"); raise SpecError with all issues."""
        rest, at, digest_text = text.partition("@")
        head, slash, tail = rest.partition("/")
        has_registry = bool(slash) and ("." in head or ":" in head or head == "localhost")
        registry = head if has_registry else None
        name, colon, tag = (tail if has_registry else rest).partition(":")
        problems = []
        if registry is not None and not _REGISTRY.match(registry):
            problems.append(f"got registry {registry!r}, expected a host name and perhaps a port")
        if not _REPOSITORY.match(name):
            problems.append(f"got name {name!r}, expected lower-case words joined by '.', '_', '-' and '/'")
        elif len(name) + len(registry or "") >= _MAX_NAME:
            problems.append(f"got a name of {len(name)} characters, expected fewer than {_MAX_NAME}")
        if colon and not _TAG.match(tag):
            what = f"got tag {tag!r}, expected letters, digits, '.', '_' and '-', 128 at most"
            problems.append(what)
        digest = None
        if at:
            try:
                digest = Digest.parse(digest_text)
            except IntegrityError as error:
                problems.append(error.issues[0].what)
        if problems:
            raise SpecError(*(Issue(f"reference {text!r}", what) for what in problems))
        return cls(registry, name, tag if colon else None, digest)

    def __str__(self) -> str:
        """Print the reference as it was parsed."""
        text = f"{self.registry}/{self.repository}" if self.registry else self.repository
        text += f":{self.tag}" if self.tag else ""
        return f"{text}@{self.digest}" if self.digest else text

    def with_tag(self, tag: str) -> Reference:
        """Return this reference with a tag and no digest."""
        return replace(self, tag=tag, digest=None)
