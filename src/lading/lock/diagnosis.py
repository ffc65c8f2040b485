"""What a build said before it failed → what it lacked, in plain words, where that can be told."""

from __future__ import annotations

import re
from typing import NamedTuple

# texts, compiled where they are first used: nothing of this is needed where builds succeed
_COMPILER = r"(?:[\w.-]*-)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(?:-[\d.]+)?"
_NO_COMPILER = (
    rf"command '(?:[\w/.-]*/)?{_COMPILER}' failed: No such file"
    rf"|unable to execute '{_COMPILER}': No such file"
    rf"|No such file or directory: '{_COMPILER}'"
    rf"|\b{_COMPILER}: (?:command )?not found"
    r"|Unknown compiler\(s\)|No CMAKE_C(?:XX)?_COMPILER could be found|no acceptable C compiler found"
)
_WHEEL = (
    "build a wheel of it elsewhere and name its folder in 'indexes.find_links', or choose another version"
)
_PACKAGE = "name the Debian package that has it in 'system_packages'"


class Cause(NamedTuple):
    """Why a build failed, and the way out."""

    what: str
    fix: str


_CAUSES = (
    (
        r"fatal error: ([\w./+-]+): No such file or directory",
        Cause("lacks the header {!r}", f"{_PACKAGE} (its name ends in '-dev'), or {_WHEEL}"),
    ),
    (
        r"cannot find -l([\w.+-]+)",
        Cause("lacks the library {!r}", f"{_PACKAGE} (its name ends in '-dev'), or {_WHEEL}"),
    ),
    (
        r"No module named '([\w.]+)'",
        Cause("imports {!r}, which its pyproject.toml does not ask for", _WHEEL),
    ),
    (
        r"Temporary failure in name resolution|Network is unreachable|Name or service not known",
        Cause("asks the network, which a build does not get", _WHEEL),
    ),
    (
        r"No such file or directory: '([\w.+-]+)'",
        Cause("lacks the file or program {!r}", f"if it is a program {_PACKAGE}, else {_WHEEL}"),
    ),
    (
        r"(?:command |unable to execute )'([\w.+-]+)'(?: failed)?: No such file",
        Cause("lacks the program {!r}", f"{_PACKAGE}, or {_WHEEL}"),
    ),
    (
        r"\b([\w.+-]+)(?:: (?:command )?| executable )not found\b",
        Cause("lacks the program {!r}", f"{_PACKAGE}, or {_WHEEL}"),
    ),
)


def lacks_compiler(output: str) -> bool:
    """Tell whether a build failed for want of a C or C++ compiler."""
    return re.search(_NO_COMPILER, output) is not None


def cause(output: str) -> Cause:
    """Tell what a build lacked; where its output does not say, the way out is the one that always is."""
    if lacks_compiler(output):
        return Cause("lacks a compiler", _WHEEL)
    for pattern, found in _CAUSES:
        if match := re.search(pattern, output, re.MULTILINE):
            return Cause(found.what.format(*match.groups()), found.fix)
    return Cause("", _WHEEL)
