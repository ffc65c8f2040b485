"""Facts of a model go in, a commented `lading.yaml` for it comes out.

Law: it parses, and says what is known.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import yaml

from lading.core.model import ModelFacts
from lading.spec.native import Document

_SHOWN = {
    "version": "1",
    "description": "One sentence for people.",
    "tags": {"team": "mine"},
    "base": "debian:bookworm",
    "python": "3.11",
    "requirements": "requirements.txt",
    "system_packages": ["libgomp1"],
    "indexes": {"extra": ["https://packages.example.com/simple"]},
    "code": "src",
    "entry": "score.py:run",
    "server": "lading",
    "environment_variables": {"LOG_LEVEL": "info"},
    "signature": {"inputs": [{"name": "size", "type": "double"}], "outputs": [{"type": "long"}]},
    "assets": ["labels.txt"],
    "example": {"inputs": "inputs.csv", "outputs": "outputs.json", "tolerance": 1e-6},
    "platforms": ["linux/amd64"],
    "slim": True,
    "compile": "off",
}


def draft(facts: ModelFacts, folder: Path, *, name: str | None = None, uri: str | None = None) -> str:
    """Return the text of a lading.yaml in `folder`: known keys filled in, the others as comments.

    A model that is kept elsewhere is named by its `uri`, and by what it is called there.
    """
    known: dict[str, object] = {
        "name": package_name(Path(name) if name else facts.root),
        "model": uri or Path(os.path.relpath(facts.root, folder)).as_posix(),
        "requirements": [one.text for one in facts.requirements] or None,
        "python": ".".join(facts.python.split(".")[:2]) if facts.python else None,
        "allow_unsafe": sorted({risk.name for risk in facts.risks}) or None,
    }
    lines = [f"# {facts.flavour}. Every key is optional; `lading schema` prints the schema for editors.", ""]
    for key, kind in get_type_hints(Document, include_extras=True).items():
        lines.append(f"# {get_args(kind)[1] if get_origin(kind) is Annotated else key}")
        if key == "allow_unsafe" and facts.risks:
            # accepting code that runs on loading is for the author to do, by hand
            lines += [f"# {line}" for line in _yaml(key, known[key])]
        elif known.get(key) is not None:
            lines += _yaml(key, known[key])
        elif key in _SHOWN:
            lines += [f"# {line}" for line in _yaml(key, _SHOWN[key])]
        lines.append("")
    return "\n".join(lines)


def _yaml(key: str, value: object) -> list[str]:
    return yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True).splitlines()


def package_name(root: Path) -> str:
    """Make a package's name of a model's: lower case, words joined by dashes."""
    stem = root.name.removesuffix(root.suffix) if root.is_file() else root.name
    words = "".join(letter if letter.isalnum() and letter.isascii() else " " for letter in stem.lower())
    return "-".join(words.split()) or "model"
