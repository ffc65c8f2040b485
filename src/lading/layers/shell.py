"""A maintainer script in; the commands that a first installation would run out. Nothing is run.

It is read, not understood: what stands under a condition counts, unless that says that a package is upgraded,
triggered, or configured on a machine that systemd runs. What a substitution runs does not: it asks.
Source: Debian Policy 6.5 (`postinst configure` has an empty second argument where a package is new).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_HERE = re.compile(r"<<-?\s*\\?['\"]?(\w+)['\"]?[^\n]*\n.*?^\s*\1$", re.MULTILINE | re.DOTALL)
_NEVER = re.compile(
    r"(?<!! )-n \$\{?2\b|! -z \$\{?2\b|\[ \$\{?2[\w:}-]* \]|\$\{?2[\w:}-]* != (?:\"\"|x)(?: |$)|"
    r"\$\{?1\S* ={1,2} triggered|(?<!! )-d \S*/run/systemd/system|"
    r"--compare-versions (?:-- )?\S*\$\{?2\S* (?:lt-nl|le-nl|eq|(?:gt|ge)(?!-nl))"
)
_OR = re.compile(r" \|\| | -o ")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")
_NAME = re.compile(r"([\w-]+)\Z")
_ENDS = "\n;&|(){}"
_BEFORE = {"then", "do", "done", "while", "until", "!", "time", "exec", "eval", "env", "nice", "fi", "else"}
_UPGRADE = ("triggered", "abort-", "upgrade", "failed-upgrade", "remove")

_Part = tuple[list[str], str]
"""A command's words, and what ends it."""


def commands(script: str) -> list[list[str]]:
    """Return the words of each command, without quotes; of a function's body where the function is called."""
    bodies: dict[str, list[list[str]]] = {}
    live = list(_live(_split(script), bodies))
    called: set[str] = set()
    found = []
    while live:
        words = live.pop(0)
        if words[0] not in bodies:
            found.append(words)
        elif words[0] not in called:
            called.add(words[0])
            live = bodies[words[0]] + live
    return found


def _live(parts: Sequence[_Part], bodies: dict[str, list[list[str]]]) -> Iterator[list[str]]:
    """Follow branches and functions; yield what is in neither a branch that is never taken nor a function."""
    state = _Reading()
    inside: list[list[str]] | None = None
    depth = 0
    for number, (words, end) in enumerate(parts):
        following = parts[number + 1][1] if number + 1 < len(parts) else ""
        if state.is_pattern(words, end):
            continue
        if len(words) == 1 and end == "(" and following == ")" and _NAME.match(words[0]):
            inside, depth = bodies.setdefault(words[0], []), 0
            continue
        if inside is not None:
            depth += words.count("{") + (end == "{") - words.count("}") - (end == "}")
        command = state.follow(words, end, _condition(parts, number))
        if command and inside is not None:
            inside.append(command)
        elif command:
            yield command
        if inside is not None and end == "}" and depth <= 0:
            inside = None


@dataclass(slots=True)
class _Reading:
    """Where in a script one is: the branches and cases around it, each with whether it may be taken."""

    branches: list[bool] = field(default_factory=list)
    cases: list[bool] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    awaits_pattern: bool = False
    patterns: list[str] = field(default_factory=list)

    def is_pattern(self, words: list[str], end: str) -> bool:
        """Read the patterns of a case, up to their bracket."""
        if not self.awaits_pattern or words[:1] == ["esac"]:
            return False
        self.patterns += words
        if end == ")":
            self.cases[-1] = not all(one.startswith(_UPGRADE) for one in self.patterns)
            self.awaits_pattern = False
        return True

    def follow(self, words: list[str], end: str, condition: str) -> list[str]:
        """Enter and leave branches as the words say; return the command among them, where it may be run."""
        command = self.enter(words, condition)
        if command[:1] == ["case"]:
            self.cases.append(True)
        elif command[:1] == ["esac"] and self.cases:
            self.cases.pop()
        elif command and all(self.branches) and all(self.cases):
            self.awaits_pattern = False
            self.next_case(end)
            name = command[0].lstrip("$").strip("{}")
            return [*self.variables.get(name, command[0]).split(), *command[1:]]
        self.awaits_pattern = command[:1] == ["case"]
        self.patterns = []
        self.next_case(end)
        return []

    def next_case(self, end: str) -> None:
        """Await the next pattern where a case ends."""
        if end == ";;" and self.cases:
            self.awaits_pattern, self.patterns = True, []

    def enter(self, words: list[str], condition: str) -> list[str]:
        """Take off what is before a command."""
        while words:
            first = words[0]
            assigned = _ASSIGNMENT.match(first)
            if first == "if":
                self.branches.append(not _is_never(condition))
            elif first == "elif" and self.branches:
                self.branches[-1] = not _is_never(condition)
            elif first == "else" and self.branches:
                self.branches[-1] = True
            elif first == "fi" and self.branches:
                self.branches.pop()
            elif assigned:
                self.variables[assigned[1]] = first[assigned.end() :]
            elif first not in _BEFORE:
                return words
            words = words[1:]
        return []


def _condition(parts: Sequence[_Part], number: int) -> str:
    """Return the text from one command up to the `then` that follows."""
    text = []
    for words, end in parts[number : number + 12]:
        if words[:1] == ["then"]:
            break
        text += [*words, end.strip()]
    return " ".join(text)


def _is_never(condition: str) -> bool:
    """Tell whether no alternative of a condition holds where a package is new."""
    found = [one.removeprefix("if ").removeprefix("elif ") for one in _OR.split(condition)]
    return all(_NEVER.search(one) and not one.startswith("! ") for one in found)


def _split(script: str) -> list[_Part]:
    """Cut a script into commands, each with what ends it."""
    text = _HERE.sub("\n", script.replace("\\\n", " ")) + "\n"
    parts: list[_Part] = []
    words: list[str] = []
    word, at = "", 0
    while at < len(text):
        char = text[at]
        stop = at + 1
        if char in "'\"`":
            stop = _closing(text, at, char)
            word += "$" if char == "`" else text[at + 1 : stop - 1] or '""'
        elif char == "$" and text[stop : stop + 1] in {"(", "{"}:
            stop = _closing(text, stop, text[stop])
            word += text[at:stop] if text[at + 1] == "{" else "$"
        elif char == "\\":
            stop += 1
            word += text[at + 1 : stop]
        elif char == "#" and not word:
            stop = text.index("\n", at)
        elif char in "<>" or (char == "&" and text[at - 1] in "<>"):
            word = ""
            stop = _redirected(text, at)
        elif char in " \t" or (char in _ENDS and (char not in "{}" or not word)):
            if word:
                words.append(word)
            word = ""
            if char not in " \t":
                stop = at + 2 if text[at : at + 2] in {";;", "&&", "||"} else stop
                parts.append((words, text[at:stop]))
                words = []
        else:
            word += char
        at = stop
    return parts


def _redirected(text: str, at: int) -> int:
    """Return where the target of a redirection ends."""
    found = re.compile(r"[<>&|]+[ \t]*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s;&|()])*").match(text, at)
    return found.end() if found else at + 1


def _closing(text: str, at: int, opening: str) -> int:
    """Return the place behind what closes a quote, a substitution or an expansion; or the end."""
    closing = {"(": ")", "{": "}"}.get(opening, opening)
    depth, at = 1, at + 1
    while at < len(text):
        char = text[at]
        if char == "\\" and opening != "'":
            at += 1
        elif char == closing:
            depth -= 1
            if not depth:
                return at + 1
        elif char == opening:
            depth += 1
        elif char in "'\"" and opening in "({":
            at = _closing(text, at, char) - 1
        at += 1
    return len(text)
