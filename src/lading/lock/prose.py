"""uv's explanation of a failure → what it says of which package.

uv has no machine-readable form of it. What is not recognised is simply not told: the explanation's own last
lines are always shown beside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# texts, compiled where they are first used: nothing of this is needed where uv has an answer
_CONCLUSION = r"\bwe (?:can conclude|know from \(\d+\)) that\b.*?(?:[,;.](?=\s|\Z)|(?= and because)|\Z)"
# bounded and anchored, so that no text takes long
_NAME = r"(?<![A-Za-z0-9._-])[A-Za-z0-9][A-Za-z0-9._-]{0,99}?"
_MARKS = r"(?:\[[^\]]*\])?(?:\{[^}]*\})?"
_VERSIONS = r"(?:[<>=!~]=?[^\s,]+(?:,(?=[<>=!~]))?)*"
_PACKAGE = rf"({_NAME}){_MARKS}({_VERSIONS})"
_END = r"(?=[,.]?(?: |\Z))"
_WANTED = (
    rf"(?!(?:all|and|any|because|only|that|the|there|we|you) ){_NAME}{_MARKS}{_VERSIONS}{_END}"
    r"(?! (?:cannot|depends?|has|have|is|requires?|was|were) )"
)
_EDGES = rf"{_PACKAGE} depends? on (one of: {_WANTED}(?: {_WANTED})*|{_WANTED}(?:,? and {_WANTED})*)"
_CHILD = rf"{_PACKAGE}{_END}"
_WHEELLESS = rf"{_PACKAGE} ha(?:s|ve) no (?:usable wheels|wheels with)"
_WHEELS_REQUIRED = r"Wheels are required for `([^`]+)`"
_ABSENT = rf"({_NAME}) was not found in the (?:package registry|provided package locations|cache)"
_VERSIONLESS = rf"there (?:is|are) no versions? of {_PACKAGE}(?= and|,|\s)"
_PYTHON = rf"{_PACKAGE} (?:requires|require|depends? on) Python\s?((?:[<>=!~]=?[^\s]+))"
_PLATFORM_HINT = r"Wheels are available for `([^`]+)`[^\n]*?(?:platforms?|tags?): ([^\n]+)"
_PYTHON_HINT = r"only found wheels for `([^`]+)`[^\n]*?tags?: ([^\n]+)"


@dataclass(frozen=True, slots=True, order=True)
class Edge:
    """A package that wants another: `mlflow==2.8.1` wants `gunicorn<22`."""

    parent: str
    parent_versions: str
    child: str
    child_versions: str


@dataclass(frozen=True, slots=True)
class Prose:
    """What could be recognised in an explanation."""

    edges: tuple[Edge, ...]
    absent: tuple[str, ...]
    """Names that no index has."""
    wheelless: tuple[str, ...]
    """Names of which a version has no wheel for the target."""
    tags: dict[str, str]
    """By name, what there are wheels for."""
    versionless: tuple[tuple[str, str], ...]
    """Names and versions that do not exist."""
    pythons: tuple[tuple[str, str, str], ...]
    """Names, versions and the Python that they want."""


def parse(text: str) -> Prose:
    """Recognise uv's sentences."""
    told = re.sub(r"\s+", " ", text)
    given = re.sub(_CONCLUSION, " ", told)
    edges = (edge for match in re.finditer(_EDGES, given) for edge in _edges(match))
    hints = {**dict(re.findall(_PLATFORM_HINT, text)), **dict(re.findall(_PYTHON_HINT, text))}
    wheelless = (
        *re.findall(_WHEELS_REQUIRED, text),
        *(one[0] for one in re.findall(_WHEELLESS, told)),
        *hints,
    )
    return Prose(
        tuple(dict.fromkeys(edge for edge in edges if edge.child != "Python")),
        _unique(re.findall(_ABSENT, told)),
        _unique(wheelless),
        {name: tags.replace("`", "") for name, tags in hints.items()},
        tuple(dict.fromkeys(re.findall(_VERSIONLESS, told))),
        tuple(
            dict.fromkeys((name, versions, python) for name, versions, python in re.findall(_PYTHON, told))
        ),
    )


def _edges(match: re.Match[str]) -> Iterator[Edge]:
    parent, versions, wanted = match[1], match[2], match[3]
    alternatives = wanted.removeprefix("one of: ")
    children = [
        (name, found.rstrip(",")) for name, found in re.findall(_CHILD, alternatives.replace(" and ", " "))
    ]
    if alternatives != wanted:
        yield Edge(parent, versions, children[0][0], " or ".join(found for _, found in children))
        return
    for name, found in children:
        yield Edge(parent, versions, name, found)


def mentions(text: str, name: str) -> bool:
    """Tell whether a package is spoken of."""
    return (
        re.search(rf"(?<![A-Za-z0-9._-]){re.escape(name)}(?![A-Za-z0-9_-]|\.[A-Za-z0-9])", text) is not None
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
