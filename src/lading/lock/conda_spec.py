"""One conda match specification → its parts, and its versions as PEP 440 says them (conda's CEP 29)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_NAME = re.compile(r"[A-Za-z0-9_](?:[\w.-]*\w)?\Z", re.ASCII)
_BRACKETS = re.compile(r"\[([^\[\]]*)\]\s*\Z")
_PAIR = re.compile(r"""\s*(\w+)\s*=\s*(?:'([^']*)'|"([^"]*)"|([^,]*?))\s*(?:,|\Z)""")
_HEAD = re.compile(r"(?P<name>[\w.-]+?)\s*(?P<rest>(?:[\s=<>!~^*(].*)?)\Z", re.DOTALL | re.ASCII)
_TIGHT = re.compile(r"\s*([,|]|[<>!=~]=?)\s*")
_CLAUSE = re.compile(
    r"(?P<operator>>=|<=|==|!=|~=|=|>|<|)(?P<version>v?\d[A-Za-z0-9.!+]*?)(?P<star>\.?\*)?\Z", re.ASCII
)
_WITH_BUILD = re.compile(r"(?:=(?!=))?((?:==)?[^=<>!~,|]+)=([^=<>!~,|]+)\Z")
_PRERELEASE = re.compile(r"[A-Za-z+]")
_LETTERED = re.compile(r"\d[a-z]\Z")
_FILE = re.compile(r"\.(?:conda|tar\.bz2)(?:\Z|\[)")
_KNOWN = frozenset(
    {
        *("version", "build", "build_number", "channel", "subdir", "md5", "sha256", "license", "url", "fn"),
        *("license_family", "features", "track_features", "namespace"),
    }
)


class NotASpecError(ValueError):
    """A text that is no match specification, or one that PEP 440 cannot say; its text tells why."""


@dataclass(frozen=True, slots=True)
class MatchSpec:
    """What a line of a conda file asks for. `version` is conda's own text, None for any."""

    text: str
    name: str
    """Lower case, else as it is written."""
    version: str | None = None
    build: str | None = None
    channel: str | None = None
    further: dict[str, str] = field(default_factory=dict)
    """What stands in brackets besides: `md5`, `subdir` and such."""

    @property
    def normal_name(self) -> str:
        """The name as distributions' are normalised (PEP 503), without a leading underscore."""
        return re.sub(r"[-_.]+", "-", self.name).strip("-")

    @property
    def specifier(self) -> str:
        """The versions, as PEP 440 says them; raise NotASpecError where it cannot."""
        return _specifier(self.version) if self.version else ""


def parse(text: str) -> MatchSpec:
    """Read `channel::name version build[key=value]` in any of conda's spellings; raise NotASpecError."""
    rest = plain = re.sub(r"(?:\A|\s)#.*", "", text).strip()
    further: dict[str, str] = {}
    if _FILE.search(rest):
        raise NotASpecError("it is the file of one build")
    if match := _BRACKETS.search(rest):
        further = _pairs(match[1])
        rest = rest[: match.start()].strip()
    channel, _, rest = rest.rpartition("::")
    head = _HEAD.match(rest.strip())
    if not head or not _NAME.match(head["name"]):
        raise NotASpecError("expected a name, then versions")
    version, build = _version_and_build(head["rest"].strip())
    return MatchSpec(
        plain,
        head["name"].lower(),
        further.pop("version", version),
        further.pop("build", build),
        further.pop("channel", re.sub(r"\[.*", "", channel) or None),
        further,
    )


def _pairs(text: str) -> dict[str, str]:
    found, position = {}, 0
    while position < len(text):
        match = _PAIR.match(text, position)
        if not match or match.end() == position:
            raise NotASpecError("expected key=value in brackets")
        found[match[1].lower()] = next(one for one in match.groups()[1:] if one is not None)
        position = match.end()
    if unknown := found.keys() - _KNOWN:
        raise NotASpecError(f"unknown {', '.join(sorted(unknown))} in brackets")
    return found


def _version_and_build(text: str) -> tuple[str | None, str | None]:
    """Part versions and build: `=1.2=py_0`, `1.2 py_0`, `>=1, <2 py_0`."""
    if not text:
        return None, None
    tight = _TIGHT.sub(lambda match: match[1], text)
    words = tight.split()
    if len(words) > 2:
        raise NotASpecError("expected a name, versions and a build")
    version, build = words[0], words[1] if len(words) == 2 else None
    # conda: 'name=1.2=build' is exact, 'name=1.2' is fuzzy, 'name 1.2' and 'name==1.2' are exact
    if match := _WITH_BUILD.match(version):
        version, build = match[1], match[2]
    if build:
        version = re.sub(r"\A=(?!=)", "", version)
    version = version if version.strip("=*") else ""
    return version or None, build


def _specifier(version: str) -> str:
    """Turn conda's versions into PEP 440's, the same or narrower; raise NotASpecError."""
    if "|" in version or "(" in version:
        raise NotASpecError("there is no 'or' among versions of a wheel: write one range, or one version")
    clauses = (_clause(one.strip()) for one in version.split(",") if one.strip("* "))
    return ",".join(dict.fromkeys(clauses))


def _clause(text: str) -> str:
    match = _CLAUSE.match(text)
    if not match:
        raise NotASpecError(f"{text!r} has no meaning for the version of a wheel")
    operator, number, star = match["operator"], match["version"].removeprefix("v"), bool(match["star"])
    if not _is_version(number):
        raise NotASpecError(f"{number!r} cannot be the version of a wheel")
    whole = not _PRERELEASE.search(number)
    match operator:
        case "" | "=" | "==" | "!=":
            fuzzy = (star or operator == "=") and whole
            return f"{'!=' if operator == '!=' else '=='}{number}{'.*' if fuzzy else ''}"
        case "~=" if "." not in number:
            return f">={number}"
        case _:
            # conda drops the star of '>=1.2.*' as well
            return f"{operator}{number}"


def _is_version(text: str) -> bool:
    from packaging.version import InvalidVersion, Version

    # conda's 2023c comes after 2023b; to PEP 440 it is a candidate of 2023
    if _LETTERED.search(text):
        return False
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True
