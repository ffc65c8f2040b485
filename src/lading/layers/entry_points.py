"""The text of a wheel's `entry_points.txt` in; the scripts it asks for out (PyPA, entry points)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lading.core.errors import IntegrityError, Issue

_SECTIONS = ("console_scripts", "gui_scripts")
_NAME = re.compile(r"[\w.-]+\Z")
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_OBJECT = re.compile(rf"(?P<module>{_DOTTED})\s*:\s*(?P<attribute>{_DOTTED})\s*(?:\[[^\]]*\])?\Z")


def scripts(text: bytes, interpreter: str) -> Iterator[tuple[str, bytes]]:
    """Yield the name and contents of each script; raise IntegrityError where one is malformed."""
    import configparser  # few wheels have entry points, and no warm build reads one

    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    try:
        parser.read_string(text.decode())
    except (configparser.Error, UnicodeDecodeError) as error:
        raise IntegrityError(Issue("entry_points.txt", f"is malformed ({error})")) from error
    for section in _SECTIONS:
        if not parser.has_section(section):
            continue
        for name, value in parser.items(section):
            found = _OBJECT.match(value)
            if not found or not _NAME.match(name) or name in {".", ".."}:
                what = f"got {name!r} = {value!r}, expected a name and 'module:function'"
                raise IntegrityError(Issue("entry_points.txt", what))
            yield name, _script(found["module"], found["attribute"], interpreter).encode()


def _script(module: str, attribute: str, interpreter: str) -> str:
    imported = attribute.partition(".")[0]
    return (
        f"#!{interpreter}\n"
        "import sys\n\n"
        f"from {module} import {imported}\n\n"
        'if __name__ == "__main__":\n'
        f"    sys.exit({attribute}())\n"
    )
