"""What `inspect` was asked: the model's path, and the code and entry that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lading.core.model import ModelFile
from lading.core.spec import LoaderWay
from lading.model.code import FirstParty
from lading.model.files import list_files


@dataclass(frozen=True)
class Request:
    """A model to look at. `code` and `entry` are the author's own, and so trusted."""

    path: Path
    code: Path | None = None
    entry: str | None = None
    loader: LoaderWay = "lean"

    @cached_property
    def files(self) -> tuple[ModelFile, ...]:
        """The model's files."""
        return list_files(self.path)

    @cached_property
    def first_party(self) -> FirstParty:
        """The modules that the author's code provides."""
        return FirstParty(self.code)
