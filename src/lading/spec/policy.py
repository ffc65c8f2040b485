"""policy.yaml as text in, a `Policy` out: what a scan allows and denies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from lading.core.digest import Digest
from lading.core.errors import IntegrityError, SpecError
from lading.core.scan import Policy
from lading.spec.typed import Reader, read_text

_GLOBAL = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(\.\*)?\Z")


@dataclass(frozen=True, slots=True)
class Names:
    """What is meant."""

    globals: Annotated[tuple[str, ...], "names such as os.system, or all of a module: os.*"] = ()
    digests: Annotated[tuple[str, ...], "files, by digest: sha256:…"] = ()


@dataclass(frozen=True, slots=True)
class PolicyText:
    """The whole file."""

    allow: Annotated[Names, "what may be, though it is not on the list"] = field(default_factory=Names)
    deny: Annotated[Names, "what may not be, whatever else says so"] = field(default_factory=Names)


def read_policy(path: Path) -> Policy:
    """Read a policy; raise SpecError with every mistake in it, by line and column."""
    reader = Reader(path.name)
    text = reader.read(read_text(path), PolicyText)
    parts: dict[str, Any] = {}
    for kind, names in (("allow", text.allow), ("deny", text.deny)):
        for one in names.globals:
            if not _GLOBAL.match(one):
                what = f"got {one!r}, expected a dotted name, such as os.system or os.*"
                reader.complain(f"{kind}.globals", what)
        parts[f"{kind}_globals"] = names.globals
        parts[f"{kind}_digests"] = tuple(_digests(reader, kind, names.digests))
    if reader.issues:
        raise SpecError(*reader.issues_in_order())
    return Policy(**parts)


def _digests(reader: Reader, kind: str, texts: tuple[str, ...]) -> Iterator[Digest]:
    for one in texts:
        try:
            yield Digest.parse(one)
        except IntegrityError as error:
            reader.complain(f"{kind}.digests", error.issues[0].what)
