"""The key `signature` of lading.yaml in, a Signature out: MLflow's grammar, or a file of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lading.core import grammar
from lading.core.errors import Issue, ModelError, SpecError
from lading.core.signature import Signature
from lading.spec.typed import Loader, Reader, read_text

KEY = "signature"


def signature(
    value: Any,  # noqa: ANN401 - any JSON value
    reader: Reader,
    path_of: Callable[[str, str], Path | None],
) -> Signature | None:
    """Read it; what is wrong is complained of at its own place in lading.yaml, or by the name of the file."""
    if value is None:
        return None
    if isinstance(value, str):
        path = path_of(KEY, value)
        if path is None or not path.is_file():
            return None
        try:
            return load(path)
        except SpecError as error:
            reader.issues.extend(error.issues)
            return None
    try:
        read = grammar.read(value, KEY)
    except ModelError as error:
        for issue in error.issues:
            reader.complain(issue.where, issue.what, issue.fix)
        return None
    if read == Signature():
        reader.complain(KEY, "says nothing, expected inputs, outputs or params")
    return read


def load(path: Path) -> Signature:
    """Read a file of JSON or YAML, as `lading signature` prints it; raise SpecError."""
    document = parse(read_text(path), str(path))
    if isinstance(document, Mapping) and isinstance(document.get(KEY), Mapping):
        document = document[KEY]
    try:
        return grammar.read(document, f"{path}: {KEY}")
    except ModelError as error:
        raise SpecError(*error.issues) from error


def parse(text: str, name: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read YAML, which JSON is too, as plain values; raise SpecError."""
    try:
        return yaml.load(text, Loader)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(Issue(name, f"no YAML: {' '.join(str(error).split())[:200]}")) from error
