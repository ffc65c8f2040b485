"""Where things lie in an image, for the servers that run in the model's environment."""

from __future__ import annotations

from collections.abc import Iterator

from lading.core.errors import Issue
from lading.core.model import ModelFacts
from lading.core.spec import PackageSpec

PYTHON = "/opt/lading/env/bin/python"
MODEL = "/opt/lading/model"
CODE = "/opt/lading/code"
SERVING = "/opt/lading/serving"
"""The folder of what is made for a server: its configuration, or a script around the model."""


def model_name(spec: PackageSpec, facts: ModelFacts) -> str:
    """Return what clients call the model: its registered name, the package's last part, or its file's."""
    name = spec.server_settings.model_name or spec.name or facts.root.stem
    return name.rpartition("/")[2] or "model"


def image_issues(spec: PackageSpec, expected: str) -> Iterator[Issue]:
    """Say that a server which is no Python package comes in an image, which only the author can name."""
    if spec.base is None or spec.base.form == "debian":
        yield Issue("base", f"got {str(spec.base) if spec.base else None!r}, expected an image: {expected}")
