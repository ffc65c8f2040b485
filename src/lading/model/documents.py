"""YAML and JSON files that come with a model: a path goes in, plain values come out, bounded and safe."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, ModelError
from lading.model.files import read_text

_CONSTANTS: Mapping[str, float | None] = {"NaN": None, "Infinity": math.inf, "-Infinity": -math.inf}
_NUMBERS: Mapping[str, float | None] = {**_CONSTANTS, "NaN": math.nan}
_LONGEST_BYTES = 32 << 20


def read_yaml(path: Path, name: str) -> dict[str, Any]:
    """Read a YAML mapping of plain values; raise ModelError, with the line, for anything else."""
    import yaml

    text = read_text(path, name, _LONGEST_BYTES)
    try:
        document = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ModelError(Issue(where, f"no YAML: {getattr(error, 'problem', None) or error}")) from error
    except (RecursionError, ValueError) as error:
        raise ModelError(Issue(name, f"no YAML that can be read: {error}")) from error
    if not isinstance(document, dict):
        raise ModelError(Issue(name, f"got {type(document).__name__}, expected a mapping"))
    return document


def read_json(path: Path, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read a JSON file, where NaN, which pandas writes for what is missing, is None; raise ModelError."""
    return parse_json(read_text(path, name, _LONGEST_BYTES), name, _CONSTANTS)


def parse_json(text: str, name: str, constants: Mapping[str, float | None] = _NUMBERS) -> Any:  # noqa: ANN401 - any
    """Parse JSON; raise ModelError where it is none. `constants` is what is not JSON's, by name."""
    try:
        return json.loads(text, parse_constant=constants.__getitem__)
    except (ValueError, RecursionError) as error:
        raise ModelError(Issue(name, f"no JSON: {error}")) from error
