"""Packages in; the links that `update-alternatives --install` would have made in their scripts, out.

What a script says is read, not run: calls count whose words are plain, as those of libblas3, or are by plain
variables and loops, as those of OpenJDK.
Source: update-alternatives(1); of several the one with the highest priority is taken, as in its auto mode.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from lading.layers import deb

_FOLDER = "etc/alternatives"
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=('[^']*'|\"[^\"`]*\"|[^\s'\"`;&|()]*)\Z")
_LOOP = re.compile(r"(?:for\s+(\w+)\s+in\s+([^;]*?)\s*(?:;\s*do)?|(?:while|until)\s.*)\Z")
_DONE = re.compile(r"done(?![\w-])")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_OPERATORS = set(";&|()<>")
_EXPANDS = set("$`*?~{")


@dataclass(frozen=True, slots=True)
class Alternative:
    """One program or library that could stand at a generic name; `links` are its own and its slaves'."""

    name: str
    priority: int
    links: tuple[tuple[str, str, str], ...]
    """Generic path, name and real path of each."""


def links(debs: Sequence[Path], *, merged: bool = True, taken: Collection[str] = ()) -> dict[str, str]:
    """Return symbolic links by path; none for names that are `taken`, or whose real file no package has."""
    best: dict[str, Alternative] = {}
    paths: set[str] = set()
    for path in debs:
        found = [one for one in parse(deb.script(path)) if one.name not in taken]
        if found:
            paths |= set(deb.paths(path, merged=merged))
        for one in found:
            known = best.get(one.name)
            if known is None or (-one.priority, one.links) < (-known.priority, known.links):
                best[one.name] = one
    made: dict[str, str] = {}
    for one in best.values():
        for generic, name, real in one.links:
            place, target = deb.place(generic, merged=merged), deb.place(real, merged=merged)
            if target in paths and place not in paths:
                made[f"{_FOLDER}/{name}"] = f"/{target}"
                made[place] = f"/{_FOLDER}/{name}"
    return made


def parse(script: str) -> Iterator[Alternative]:
    """Read the calls in a script whose words are plain, or become so by its plain variables and loops."""
    return chain.from_iterable(_calls(script))


def has_others(script: str) -> bool:
    """Tell whether a script has calls that cannot be read."""
    return not all(_calls(script))


def _calls(script: str) -> Iterator[list[Alternative]]:
    """Yield what each call makes, in each turn of the loops around it; nothing where it cannot be read."""
    known: dict[str, str] = {}
    turns: list[list[dict[str, str]]] = [[{}]]
    for line in script.replace("\\\n", " ").splitlines():
        text = line.strip()
        if assigned := _ASSIGNMENT.match(text):
            name, value = assigned[1], _expanded(assigned[2].strip("'\""), known)
            # of a variable that is set twice nobody knows which holds
            known[name] = value if known.get(name, value) == value or "$" in value else "$"
        elif loop := _LOOP.match(text):
            values = _expanded(loop[2] or "$", known).split() if loop[1] else ["$"]
            turns.append([{**one, loop[1] or "": value} for one in turns[-1] for value in values])
        elif _DONE.match(text) and len(turns) > 1:
            turns.pop()
        elif "update-alternatives" in text and "--install" in text and not text.startswith("#"):
            words = _words(text)
            found = [_alternative([_expanded(one, {**known, **turn}) for one in words]) for turn in turns[-1]]
            yield [one for one in found if one] if all(found) else []


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), text)


def _alternative(words: Sequence[str]) -> Alternative | None:
    at = words.index("--install") + 1 if "--install" in words else len(words)
    match words[at : at + 4]:
        case [generic, name, real, priority] if priority.isdecimal():
            found = [(generic, name, real), *_slaves(words[at + 4 :])]
            if all(_is_plain(one) for one in found):
                return Alternative(name, int(priority), tuple(found))
    return None


def _words(line: str) -> list[str]:
    """Split the call of a line into words, as far as the first operator; empty where it is none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    if "--install" not in words:
        return []
    begin = words.index("--install")
    ends = (n for n, word in enumerate(words) if n > begin and set(word) <= _OPERATORS)
    return words[: next(ends, None)]


def _slaves(words: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for number, word in enumerate(words):
        if word == "--slave" and len(words) >= number + 4:
            generic, name, real = words[number + 1 : number + 4]
            yield generic, name, real


def _is_plain(texts: tuple[str, str, str]) -> bool:
    generic, name, real = texts
    parts = [part for one in (generic[1:], real[1:], name) for part in one.split("/")]
    return (
        generic.startswith("/")
        and real.startswith("/")
        and "/" not in name
        and not {"", ".", ".."} & set(parts)
        and not _EXPANDS & set("".join(texts))
    )
