"""Packages in; the links that `update-alternatives --install` would have made in their scripts, out.

What a script says is read, not run: only calls whose words are all plain count, such as those of libblas3.
Source: update-alternatives(1); of several the one with the highest priority is taken, as in its auto mode.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lading.layers import deb

_FOLDER = "etc/alternatives"
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
    """Read the plain calls in a script."""
    for line in script.replace("\\\n", " ").splitlines():
        if "update-alternatives" in line and "--install" in line and (words := _words(line)):
            at = words.index("--install") + 1
            match words[at : at + 4]:
                case [generic, name, real, priority] if priority.lstrip("-").isdecimal():
                    found = [(generic, name, real), *_slaves(words[at + 4 :])]
                    if all(_is_plain(one) for one in found):
                        yield Alternative(name, int(priority), tuple(found))
                case _:
                    continue


def count(script: str) -> int:
    """Count the calls in a script, plain or not."""
    return script.replace("\\\n", " ").count("--install ") if "update-alternatives" in script else 0


def _words(line: str) -> list[str]:
    """Split the call of a line into words, as far as the first operator; empty where it is none."""
    lexer = shlex.shlex(line.strip(), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return []
    if "--install" not in words:
        return []
    end = next(
        (n for n, word in enumerate(words) if n > words.index("--install") and set(word) <= _OPERATORS), None
    )
    return words[:end]


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
