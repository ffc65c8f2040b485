"""`KEY=VALUE`, `KEY` and files of such lines go in, as engines read them; variables come out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lading.core.errors import Issue, SpecError

_NAME = re.compile(r"[^\s=\0]+\Z")


def read(
    given: Sequence[str], files: Sequence[Path], environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Gather variables; what is given by itself wins over a file. Raises SpecError, without any value."""
    issues: list[Issue] = []
    found: dict[str, str] = {}
    lines = [("--env", repr(text.partition("=")[0]), text) for text in given]
    # a line of a file may be a piece of a secret: it is not repeated
    for where, shown, text in [*_lines(files, issues), *lines]:
        name, equals, value = text.partition("=")
        if not _NAME.match(name) or "\0" in value:
            what = f"{shown} cannot be that of a variable"
            issues.append(Issue(where, what, "write KEY=VALUE, or KEY to hand on your own"))
        elif not equals and name not in environ:
            what = f"{shown} has no value and is not set here"
            issues.append(Issue(where, what, "set it, or write KEY=VALUE"))
        else:
            found[name] = value if equals else environ[name]
    if issues:
        raise SpecError(*issues)
    return found


def _lines(files: Sequence[Path], issues: list[Issue]) -> Iterator[tuple[str, str, str]]:
    """Yield each line that says something: where it stands, what to call it, and its text."""
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            issues.append(Issue(str(path), f"cannot be read: {error.strerror}"))
            continue
        except UnicodeDecodeError:
            issues.append(Issue(str(path), "is not UTF-8 text", "write one KEY=VALUE on each line"))
            continue
        for number, line in enumerate(lines, 1):
            text = line.lstrip()
            if text and not text.startswith("#"):
                yield f"{path}:{number}", "the name", text
