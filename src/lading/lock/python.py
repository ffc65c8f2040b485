"""Requirements → uv's answer for one platform: a pylock.toml, or why there is none.

uv runs as a subprocess in an empty folder: the user's own configuration holds (indexes, netrc, keyring,
certificates, proxies), a project's that happens to lie above the working directory does not.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lading.core.errors import Issue, LockError, RegistryError, full_disk
from lading.core.platform import Libc, Platform
from lading.core.spec import Indexes
from lading.lock import credentials, indexes, prose, sources, toml
from lading.lock.accelerators import MIRROR_FIX, Torch

if TYPE_CHECKING:
    import subprocess

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
_NEWEST_GLIBC_OF_UV = 40
_TIMEOUT_S = 600.0
_UNREACHABLE = re.compile(
    r"lack of valid authentication|401 Unauthorized|403 Forbidden|Failed to (?:fetch|download)"
    r"|error sending request|could not be queried|Could not connect|Failed to read `--find-links`"
)
_OFFLINE = "network was disabled"
_FINDING = threading.Lock()
_NOT_OURS = (
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "UV_WORKING_DIR",
    "UV_PROJECT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_OFFLINE",
)


@dataclass(frozen=True, slots=True)
class Target:
    """What wheels have to run on: a platform, a Python (`3.11.2`) and a C library."""

    platform: Platform
    python: str
    libc: Libc

    @property
    def machine(self) -> str:
        """The processor, as wheels and markers call it."""
        return MACHINES[self.platform.architecture]

    @property
    def minor(self) -> str:
        """`3.11` of `3.11.2`."""
        return ".".join(self.python.split(".")[:2])

    def __str__(self) -> str:
        """Print it for people."""
        return f"{self.platform}, Python {self.minor}"


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to be resolved together: requirements by side (`model`, `server`), and the limits."""

    sides: Mapping[str, tuple[str, ...]]
    constraints: tuple[str, ...] = ()
    prereleases: bool = False
    find_links: tuple[str, ...] = ()
    unemitted: tuple[str, ...] = ()
    """Distributions that are left out of the answer, and have a say in it all the same."""
    excluded: tuple[str, ...] = ()
    """Distributions that are left out with all that only they require."""


@dataclass(frozen=True, slots=True)
class Answer:
    """uv's document where it solved the demand, else its explanation."""

    solved: bool
    text: str
    folder: Path
    """What relative paths in it are relative to; it is gone by now."""

    @property
    def lacks_network(self) -> bool:
        """Tell whether the cache lacked something, so that nothing is known of the demand itself."""
        return not self.solved and _OFFLINE in self.text


@dataclass(frozen=True, slots=True)
class Uv:
    """uv, with the places it looks at. No text that comes out of it holds a secret."""

    binary: str
    environ: Mapping[str, str]
    secrets: frozenset[str] = field(repr=False)
    no_index: bool = False
    offline: bool = False
    timeout_s: float = _TIMEOUT_S
    torch: Torch | None = None
    """Which builds of PyTorch are chosen."""

    @classmethod
    def configured(
        cls,
        places: Indexes,
        environ: Mapping[str, str],
        *,
        no_index: bool,
        offline: bool,
        torch: Torch | None = None,
        ask: indexes.Ask = lambda _: None,
    ) -> Uv:
        """Prepare uv for the spec's places and this machine's configuration; `ask` tells who to be there."""
        own = {name: value for name, value in environ.items() if name not in _NOT_OURS}
        found = indexes.settings(places, environ, no_index=no_index)
        own = indexes.logged_in(own | dict(found.variables), ask)
        own |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
        texts = [*indexes.configured_texts(environ), *own.values()]
        return cls(_binary(), own, credentials.known(environ, texts), found.no_index, offline, torch=torch)

    def without_network(self) -> Uv:
        """Return the same uv, answering from its cache alone."""
        return replace(self, offline=True)

    def compile(self, demand: Demand, target: Target, *, sources_only: bool = False) -> Answer:
        """Resolve a demand from wheels; raise RegistryError where an index cannot be asked.

        `sources_only` finds the source distributions of the requirements themselves: without dependencies,
        so that uv has no reason to build, that is to run, any of them.
        """
        answer = self._compile(demand, target, sources_only=sources_only)
        if self.torch is None or sources_only:
            return answer
        # what no other index has may well be the mirror's, which uv asks for what is named alone
        found = _names(answer.text) if answer.solved else prose.parse(answer.text).absent
        unsaid = self.torch.unsaid(found, _asked(demand))
        if not unsaid:
            return answer
        side = next(iter(demand.sides))
        sides = {**demand.sides, side: (*demand.sides[side], *unsaid)}
        return self.compile(replace(demand, sides=sides), target)

    def _compile(self, demand: Demand, target: Target, *, sources_only: bool) -> Answer:
        import tempfile

        with tempfile.TemporaryDirectory(prefix="lading-lock-") as name:
            folder = Path(name).resolve()
            # an empty configuration here keeps uv from looking for one in the folders above
            (folder / "uv.toml").touch()
            arguments = [*_targeting(target), *_sources(folder, demand, self.torch, flat=sources_only)]
            arguments += self.torch.arguments if self.torch else []
            if sources_only:
                arguments += ["--no-deps", "--no-binary", ":all:"]
            else:
                arguments += ["--only-binary", ":all:"]
            arguments += ["--format", "pylock.toml"]
            arguments += ["--no-index"] if self.no_index else []
            with_links = replace(self, environ=_with_links(self.environ, demand.find_links))
            return _answer(with_links.run(["pip", "compile", *arguments], folder), folder, self.torch)

    def install(self, wheels: Sequence[Path], target: Target, into: Path) -> None:
        """Unpack wheels into a folder, for a build to import; raise LockError where one does not fit."""
        import tempfile

        if not wheels:
            return
        with tempfile.TemporaryDirectory(prefix="lading-lock-") as name:
            (Path(name) / "uv.toml").touch()
            arguments = ["--no-deps", "--no-index", "--link-mode", "copy", "--target", str(into)]
            arguments += _targeting(target)
            done = self.run(["pip", "install", *arguments, *map(str, wheels)], Path(name))
        if done.returncode:
            raise LockError(Issue("build requirements", last_lines(done.stderr)))

    def run(self, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run uv in a folder; what it says comes back without secrets."""
        import subprocess

        command = [self.binary, *arguments, *(["--offline"] if self.offline else [])]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            what = f"uv did not answer within {self.timeout_s:.0f} s"
            raise RegistryError(
                Issue("package index", what, "look at the network, then try again")
            ) from error
        except OSError as error:
            raise _no_uv(error) from error
        done.stderr = credentials.redact(done.stderr, self.secrets)
        return done


def _binary() -> str:
    """Find uv's executable; one at a time, for sysconfig fills its table lazily and not safely in threads."""
    import uv

    try:
        with _FINDING:
            return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise _no_uv(error) from error


def _no_uv(error: OSError) -> LockError:
    return LockError(Issue("uv", f"cannot be run: {error}", "install lading again: it depends on uv"))


def _asked(demand: Demand) -> set[str]:
    return {sources.name_of(text) for side in demand.sides.values() for text in side}


def _names(pylock: str) -> list[str]:
    return [str(one.get("name")) for one in toml.parse(pylock.encode(), "pylock.toml").get("packages", [])]


def _answer(done: subprocess.CompletedProcess[str], folder: Path, torch: Torch | None) -> Answer:
    if done.returncode == 0:
        return Answer(solved=True, text=done.stdout, folder=folder)
    if issue := full_disk(done.stderr):
        raise RegistryError(issue)
    if _OFFLINE not in done.stderr and _UNREACHABLE.search(done.stderr):
        fix = (
            "look at the network, proxies and SSL_CERT_FILE; for a private index at its connection (lading "
            "connection list, or create), netrc, keyring or UV_INDEX_<NAME>_USERNAME and _PASSWORD"
        )
        if torch and f"/{torch.accelerator}/" in done.stderr:
            fix = f"look at the network, or {MIRROR_FIX}"
        raise RegistryError(Issue("package index", last_lines(done.stderr), fix))
    if done.returncode != 1:
        raise LockError(Issue("uv", f"exit status {done.returncode}: {last_lines(done.stderr)}"))
    return Answer(solved=False, text=done.stderr, folder=folder)


def last_lines(text: str, count: int = 6) -> str:
    """Return the last lines that say something, indented so that they read as one issue."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n    ".join(lines[-count:]).removeprefix("error: ")


def _with_links(environ: Mapping[str, str], links: Sequence[str]) -> Mapping[str, str]:
    """Add find-links places: the flag would hide those of the variable."""
    known = filter(None, environ.get("UV_FIND_LINKS", "").split(","))
    return {**environ, "UV_FIND_LINKS": ",".join((*links, *known))} if links else environ


def _targeting(target: Target) -> list[str]:
    if target.libc.name == "musl":
        kind = "unknown-linux-musl"  # uv knows no older one than musllinux_1_2
    else:
        kind = f"manylinux_2_{min(target.libc.minor, _NEWEST_GLIBC_OF_UV)}"
    return [
        *("--python", sys.executable),
        *("--python-version", target.python),
        *("--python-platform", f"{target.machine}-{kind}"),
    ]


def _sources(folder: Path, demand: Demand, torch: Torch | None, *, flat: bool) -> list[str]:
    """Write each side as a tiny static project: uv then says which of them wants what."""
    arguments = ["--no-header"]
    lines: list[str] = []
    for side, requirements in demand.sides.items():
        if flat:
            lines += requirements
            continue
        project = folder / side
        project.mkdir()
        # JSON's strings and arrays are TOML's; ASCII would need surrogates, which TOML has not
        listed = json.dumps(list(requirements), ensure_ascii=False)
        text = f'[project]\nname = "the-{side}"\nversion = "0"\ndependencies = {listed}\n'
        text += torch.sources(map(sources.name_of, requirements)) if torch else ""
        (project / "pyproject.toml").write_text(text, encoding="utf-8")
        lines.append(f"./{side}")
        arguments += ["--no-emit-package", f"the-{side}"]
    (folder / "all.in").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    arguments += [word for name in demand.unemitted for word in ("--no-emit-package", name)]
    if demand.excluded:
        (folder / "excluded.in").write_text("\n".join(demand.excluded), encoding="utf-8")
        arguments += ["--excludes", "excluded.in"]
    if demand.constraints:
        (folder / "constraints.in").write_text("\n".join(demand.constraints), encoding="utf-8")
        arguments += ["--constraints", "constraints.in"]
    return ["all.in", *arguments, *(["--prerelease", "allow"] if demand.prereleases else [])]
