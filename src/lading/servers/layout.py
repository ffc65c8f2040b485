"""Where things lie in an image, for the servers that run in the model's environment."""

from __future__ import annotations

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
