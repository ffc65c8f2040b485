"""conda.yaml and python_env.yaml → conda packages, pip's lines, a Python version, and what else they say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core.errors import Issue, without_secrets
from lading.lock import conda_condition, conda_spec
from lading.lock.conda_condition import ALWAYS, Condition, NotASelectorError
from lading.lock.conda_spec import MatchSpec, NotASpecError

if TYPE_CHECKING:
    import yaml

SUBDIRS = {"linux-64": "linux/amd64", "linux-aarch64": "linux/arm64"}
"""conda's names of the platforms that packages are made for."""
_KEYS = (
    "name",
    "channels",
    "dependencies",
    "prefix",
    "variables",
    "platforms",
    "category",
    "channel_priority",
)
_COMMENT = re.compile(r"(?:^|\s)#.*\Z")
_COMMENT_SELECTOR = re.compile(r"\s#\s*\[([^\[\]]+)\]\s*(?:#.*)?\Z")
_SELECTOR = re.compile(r"sel\((.+)\)\Z")
_TOKEN = re.compile(r"/t/[^/\s'\"]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SECRET = re.compile(
    r"PASSW|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|ACCOUNT_?KEY|SAS\b", re.IGNORECASE
)
_TEMPLATE = "a template has to be filled in first"
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A line of requirements.txt under `pip:`; it counts where `condition` holds."""

    where: str
    text: str
    condition: Condition = ALWAYS


@dataclass(frozen=True, slots=True)
class Package:
    """A conda package; it counts where `condition` holds."""

    where: str
    spec: MatchSpec
    condition: Condition = ALWAYS


@dataclass(slots=True)
class CondaFile:
    """What the file asks for; what is wrong with it is in `issues`, what must be seen in `warnings`."""

    packages: list[Package] = field(default_factory=list)
    """All but python."""
    lines: list[Line] = field(default_factory=list)
    python: str | None = None
    """A version, such as `3.11.7`."""
    requires_python: str | None = None
    """A range, such as `>=3.10`."""
    python_spec: Package | None = None
    channels: list[tuple[str, str]] = field(default_factory=list)
    """Each with its place; may hold credentials."""
    platforms: list[str] = field(default_factory=list)
    """Conda's names, such as `linux-64`; empty where the file does not say."""
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unmapped: list[Issue] = field(default_factory=list)
    """What is wrong only where the packages are not solved by conda's rules."""
    issues: list[Issue] = field(default_factory=list)


def load(path: Path) -> CondaFile:
    """Read conda.yaml, environment.yml or MLflow's python_env.yaml; what is wrong is in `issues`."""
    import yaml

    found = CondaFile()
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path.name}:{mark.line + 1}" if mark else path.name
        fix = _TEMPLATE if mark and _is_template(path, mark.line) else None
        found.issues.append(Issue(where, f"not YAML: {getattr(error, 'problem', None) or error}", fix))
        return found
    _Reader(found, path.name, text.splitlines()).read(root)
    return found


def plain(text: str) -> str:
    """Blot out the user information and the token of a channel's address."""
    return _TOKEN.sub("/t/***", without_secrets(text))


@dataclass(frozen=True, slots=True)
class _Reader:
    found: CondaFile
    name: str
    source: list[str]

    def read(self, root: yaml.Node | None) -> None:
        keys = self._mapping(root)
        if not keys:
            self._issue(None, "got no mapping, expected 'dependencies'")
        elif "channels" not in keys and ("python" in keys or "build_dependencies" in keys):
            if python := keys.get("python"):
                self.found.python = str(python.value)
            self._pip(keys.get("dependencies"), ALWAYS)
        else:
            self._conda(keys)

    def _conda(self, keys: dict[str, yaml.Node]) -> None:
        found = self.found
        for key in keys.keys() - set(_KEYS):
            near = difflib.get_close_matches(key, _KEYS, 1)
            if near and near[0] not in keys:
                self._issue(keys[key], f"unknown key {key!r}", f"did you mean {near[0]!r}?")
            else:
                found.warnings.append(f"{self._where(keys[key])}: {key!r} has no effect here")
        for node in self._items(keys.get("channels")):
            found.channels.append((self._where(node), str(node.value).strip()))
        found.platforms += [str(node.value).strip() for node in self._items(keys.get("platforms"))]
        self._variables(keys.get("variables"))
        for node in self._items(keys.get("dependencies")):
            self._dependency(node, ALWAYS)

    def _variables(self, node: yaml.Node | None) -> None:
        for key, value in self._mapping(node).items():
            where = self._where(value)
            if not _VARIABLE.match(key) or not _is_scalar(value):
                self._issue(value, f"got variable {key!r}, expected a name and a text")
            elif _SECRET.search(key):
                fix = "give it where the package runs"
                self.found.warnings.append(f"{where}: variable {key} may be a secret and is left out: {fix}")
            else:
                self.found.variables[key] = str(value.value)

    def _dependency(self, node: yaml.Node, condition: Condition, depth: int = 0) -> None:
        condition = conda_condition.both(condition, self._comment_selector(node))
        keys = self._mapping(node)
        if depth > _DEPTH:
            self._issue(node, "conditions are nested too deep")
        elif "if" in keys:
            self._branches(node, keys, condition, depth)
        elif keys:
            for key, value in keys.items():
                if selector := _SELECTOR.match(key):
                    inner = conda_condition.both(condition, self._selector(value, selector[1]))
                    self._either(value, inner, depth)
                elif key == "pip":
                    self._pip(value, condition)
                else:
                    fix = f"write '{key}={value.value}'" if _is_scalar(value) else None
                    self._issue(value, f"got {key!r}, expected 'pip'", fix)
        else:
            self._package(node, condition)

    def _branches(
        self, node: yaml.Node, keys: dict[str, yaml.Node], condition: Condition, depth: int
    ) -> None:
        """Read rattler-build's `{if: …, then: …, else: …}`."""
        if unknown := keys.keys() - {"if", "then", "else"}:
            self._issue(node, f"got {', '.join(sorted(unknown))!r}, expected 'if', 'then' and 'else'")
        selector = str(keys["if"].value)
        for key, text in (("then", selector), ("else", f"not ({selector})")):
            if branch := keys.get(key):
                self._either(branch, conda_condition.both(condition, self._selector(branch, text)), depth)

    def _either(self, node: yaml.Node, condition: Condition, depth: int) -> None:
        """Read one dependency or a list of them."""
        import yaml

        for one in self._items(node) if isinstance(node, yaml.SequenceNode) else (node,):
            self._dependency(one, condition, depth + 1)

    def _pip(self, node: yaml.Node | None, condition: Condition) -> None:
        for item in self._items(node):
            text = _COMMENT.sub("", str(item.value)).strip()
            if not _is_scalar(item):
                fix = "write an option as '--option value', without a colon"
                self._issue(item, "got a mapping, expected a line of requirements.txt", fix)
            elif text:
                told = conda_condition.both(condition, self._comment_selector(item))
                if told is False:
                    self._not_for_linux(self._where(item), text)
                else:
                    self.found.lines.append(Line(self._where(item), text, told))

    def _package(self, node: yaml.Node, condition: Condition) -> None:
        text = str(node.value).strip()
        try:
            spec = conda_spec.parse(text)
        except NotASpecError as error:
            fix = "write 'name=version'"
            if "{{" in text or "{%" in text:
                fix = _TEMPLATE
            self._issue(node, f"got {plain(text)!r}, expected a conda package and versions: {error}", fix)
            return
        package = Package(self._where(node), spec, condition)
        if condition is False:
            self._not_for_linux(package.where, spec.text)
        elif spec.name == "python":
            self._python(node, package)
        else:
            self.found.packages.append(package)

    def _not_for_linux(self, where: str, text: str) -> None:
        self.found.notes.append(f"{where}: {plain(text)!r} is left out: it is not for Linux")

    def _python(self, node: yaml.Node, package: Package) -> None:
        found, spec = self.found, package.spec
        if package.condition is not True:
            self._issue(node, "Python cannot depend on a selector", "name one version for all platforms")
        if found.python_spec and found.python_spec.spec.version != spec.version:
            self._issue(node, f"got {spec.text!r}, and {found.python_spec.where} asks for another Python")
        if "pypy" in f"{spec.build} {spec.channel}".lower():
            self._issue(node, f"got {spec.text!r}, expected CPython: there is no PyPy in a package")
        found.python_spec = package
        try:
            specifier = spec.specifier
        except NotASpecError as error:
            what = f"got {spec.text!r}, expected a version of Python: {error}"
            found.unmapped.append(Issue(package.where, what))
            return
        exact = re.match(r"==(\d+\.\d+(?:\.\d+)?)(?:\.\*)?\Z", specifier)
        found.python = exact[1] if exact else None
        found.requires_python = (
            re.sub(r"\A==(\d+)\Z", r"==\1.*", specifier) if specifier and not exact else None
        )

    def _comment_selector(self, node: yaml.Node) -> Condition:
        """Read `# [linux]` behind an item: of a mapping it is the line that begins it."""
        number = node.end_mark.line if _is_scalar(node) else node.start_mark.line
        line = self.source[number] if number < len(self.source) else ""
        match = _COMMENT_SELECTOR.search(line)
        if not match:
            return True
        try:
            return conda_condition.parse(match[1])
        except NotASelectorError:
            what = f"'[{match[1]}]' is no selector that is known here, and is taken for a comment"
            self.found.warnings.append(f"{self.name}:{number + 1}: {what}")
            return True

    def _selector(self, node: yaml.Node, text: str) -> Condition:
        try:
            return conda_condition.parse(text)
        except NotASelectorError as error:
            self._issue(node, f"got selector {text!r}, and {str(error)!r} is not known here")
            return False

    def _mapping(self, node: yaml.Node | None) -> dict[str, yaml.Node]:
        import yaml

        if not isinstance(node, yaml.MappingNode):
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not _is_scalar(key):
                self._issue(key, "got a mapping as a key", _TEMPLATE)
            elif str(key.value) in found:
                self._issue(key, f"got {key.value!r} twice")
            else:
                found[str(key.value)] = value
        return found

    def _items(self, node: yaml.Node | None) -> Iterator[yaml.Node]:
        import yaml

        if node is None or (_is_scalar(node) and node.tag.endswith(":null")):
            return
        if not isinstance(node, yaml.SequenceNode):
            self._issue(node, "got no list, expected one")
            return
        for item in node.value:
            if isinstance(item, yaml.SequenceNode):
                self._issue(item, "got a list, expected a requirement")
            elif not (_is_scalar(item) and item.tag.endswith(":null")):
                yield item

    def _issue(self, node: yaml.Node | None, what: str, fix: str | None = None) -> None:
        self.found.issues.append(Issue(self._where(node) if node else self.name, what, fix))

    def _where(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"


def _is_scalar(node: yaml.Node) -> bool:
    import yaml

    return isinstance(node, yaml.ScalarNode)


def _is_template(path: Path, line: int) -> bool:
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return any("{{" in one or "{%" in one for one in lines[max(0, line - 1) : line + 1])
