"""Write the generated pages, `commands.md` and `spec.md`, into this folder or into the one named."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import get_args, get_type_hints

from rich.console import Console

from lading.cli import main
from lading.cli.main import COMMANDS, GROUPS, build
from lading.spec.native import Document, ExampleText, IndexesText
from lading.spec.server import RouteText, ServerText

NOTE = "<!-- written by docs/generate.py; run scripts/fix after a change -->\n"


def commands() -> str:
    """Return the help of every command."""
    statuses = (main.__doc__ or "").partition("\n\n")[2]
    parts = ["# Commands\n", NOTE, f"Exit statuses: {statuses}"]
    verbs = [[group, verb] for group, (_, below) in GROUPS.items() for verb in below]
    for words in [*([name] for name in COMMANDS), *verbs]:
        out = io.StringIO()
        build(*words).help_print(
            words, console=Console(file=out, width=100, no_color=True, force_terminal=False)
        )
        lines = [line.rstrip() for line in out.getvalue().strip().splitlines()]
        parts += [f"## lading {' '.join(words)}\n", "```", *lines, "```\n"]
    return "\n".join(parts)


def spec() -> str:
    """Return a table of every key of lading.yaml."""
    parts = ["# lading.yaml\n", NOTE, "Every key is optional. Paths are relative to the file's folder.\n"]
    tables = (
        ("", Document),
        ("## server", ServerText),
        ("## liveness_route, readiness_route, scoring_route", RouteText),
        ("## indexes", IndexesText),
        ("## example (one, or a list)", ExampleText),
    )
    for title, kind in tables:
        parts += [*([f"{title}\n"] if title else []), "| key | meaning |", "|---|---|"]
        hints = get_type_hints(kind, include_extras=True)
        parts += [f"| `{key}` | {get_args(hint)[1]} |" for key, hint in hints.items()]
        parts.append("")
    return "\n".join(parts)


def write() -> None:
    """Write both pages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    (folder / "commands.md").write_text(commands(), encoding="utf-8")
    (folder / "spec.md").write_text(spec(), encoding="utf-8")


if __name__ == "__main__":
    write()
