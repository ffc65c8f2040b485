"""A conda file, a platform and a base → conda packages, pinned. rattler solves; nothing of them is run."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from lading.core.accelerator import cuda
from lading.core.digest import Digest
from lading.core.errors import Issue, LockError, RegistryError
from lading.core.lock import CondaFacts, Interpreter, LockedBase, LockedConda
from lading.core.platform import Platform
from lading.core.ports import Event, Events, Fetch, ignore
from lading.lock.conda import SUBDIRS, CondaFile, Package, plain
from lading.lock.conda_spec import MatchSpec
from lading.lock.python import MACHINES

if TYPE_CHECKING:
    from rattler import Channel, GenericVirtualPackage, RepoDataRecord

PREFIX = "/opt/lading/conda"
ALIAS = "CONDA_CHANNEL_ALIAS"
"""conda's own variable: where channels are that are named without a URL."""
_LINUX = "5.10"
"""The oldest kernel that a package may count on."""
_ABSENT = re.compile(r"No candidates were found for (\S+)")
_LACKING = re.compile(r"(__cuda|__glibc)\b.*, for which no candidates")
_BARE = re.compile(r"(\A|[,|]\s*)(\d[^,|*]*)(?=[,|]|\Z)")
_DOWNLOADS = 8
_LETTING_GO_S = 0.05
_FIX = "name 'channels:' that have it, ask for other versions, or take it under 'pip:'"
_CREDENTIALS = "give credentials by netrc, and name the channel without them"

SolveConda = Callable[[CondaFile, Platform, LockedBase, str | None], tuple[LockedConda, ...]]
"""A conda file, for a platform and a base, with a Python (`3.11`) where the file names none."""


@dataclass(frozen=True, slots=True)
class Solver:
    """Solves and pins; `look` reads what a package's file tells, `cache` keeps what channels say."""

    fetch: Fetch
    look: Callable[[Path], CondaFacts]
    cache: Path
    environ: Mapping[str, str]
    folder: Path
    """What the paths of channels are relative to."""
    accelerator: str | None = None
    """`cu126`, where one is named."""
    offline: bool = False
    events: Events = ignore

    def __call__(
        self, file: CondaFile, platform: Platform, base: LockedBase, python: str | None
    ) -> tuple[LockedConda, ...]:
        """Pin what satisfies a file; LockError where nothing does, RegistryError for a channel out of reach.

        The packages are brought here: which Python distributions they hold stands in them alone.
        """
        from concurrent.futures import ThreadPoolExecutor

        if base.libc.name != "glibc":
            what = f"conda packages are made for glibc, and the base has {base.libc}"
            raise LockError(Issue("base", what, "take another base"))
        records = self._answered(_wanted(file, platform, python), file, platform, base)
        pinned = [_pinned(one) for one in records]
        with ThreadPoolExecutor(_DOWNLOADS) as pool:
            found = list(pool.map(self._facts, pinned))
        for one, facts in zip(pinned, found, strict=True):
            if facts.scripts:
                what = f"conda package {one.name} has scripts that are not run: {', '.join(facts.scripts)}"
                self.events(Event("lock", "warning", what))
        held = zip(pinned, found, strict=True)
        return tuple(sorted(replace(one, distributions=facts.distributions) for one, facts in held))

    def _answered(
        self, wanted: list[Package], file: CondaFile, platform: Platform, base: LockedBase
    ) -> list[RepoDataRecord]:
        """Solve; where a package is in no channel go on without it, so that all of them are named."""
        issues: list[Issue] = []
        while True:
            try:
                records = self._solved(wanted, file, platform, base)
            except LockError as error:
                match = _ABSENT.search(str(error))
                absent = next((one for one in wanted if match and one.spec.name == match[1]), None)
                if absent is None:
                    raise LockError(*issues, *error.issues) from error
                what = f"no channel has {plain(absent.spec.text)!r} for {platform}"
                issues.append(Issue(absent.where, what, _FIX))
                wanted = [one for one in wanted if one is not absent]
                continue
            if issues:
                raise LockError(*issues)
            return records

    def _facts(self, one: LockedConda) -> CondaFacts:
        return self.look(self.fetch.file(one.url, one.digest, one.size_bytes))

    def _solved(
        self, wanted: Sequence[Package], file: CondaFile, platform: Platform, base: LockedBase
    ) -> list[RepoDataRecord]:
        import asyncio

        rattler = _rattler()
        from rattler.exceptions import GatewayError, InvalidMatchSpecError, SolverError

        cache_action = "force-cache-only" if self.offline else "cache-or-fetch"
        gateway = rattler.Gateway(
            cache_dir=self.cache,
            default_config=rattler.SourceConfig(cache_action=cache_action),
            client=rattler.Client.default_client(),
        )
        named = [(one.where, _without_subdir(one.spec.channel)) for one in wanted if one.spec.channel]
        channels = self._channels([*file.channels, *named], rattler)
        subdir = next(conda for conda, ours in SUBDIRS.items() if ours == str(platform))
        try:
            return asyncio.run(
                _settled(
                    rattler.solve(
                        list({one.base_url: one for one in channels.values()}.values()),
                        [_text(one.spec, channels) for one in wanted],
                        gateway=gateway,
                        platforms=[subdir, "noarch"],
                        virtual_packages=self._virtual(platform, base, rattler),
                    )
                )
            )
        except SolverError as error:
            text = plain(str(error)).strip()
            fix = self._fix(text, base)
            raise LockError(Issue(f"conda packages for {platform}", text, fix)) from error
        except InvalidMatchSpecError as error:
            raise LockError(Issue("conda packages", plain(str(error)))) from error
        except GatewayError as error:
            fix = "look at the network and at the channel's name; credentials come from netrc"
            raise RegistryError(Issue("conda channel", plain(_first_lines(str(error))), fix)) from error

    def _fix(self, told: str, base: LockedBase) -> str:
        """Name the way out of rattler's answer: what the machine lacks, no channel has."""
        match = _LACKING.search(told)
        if match is None:
            return _FIX
        if match[1] == "__glibc":
            way = f"take a base with a newer glibc: {base.reference} has {base.libc.major}.{base.libc.minor}"
        elif self.accelerator:
            way = f"name another accelerator than {self.accelerator}"
        else:
            way = "name the CUDA that the package is for, such as 'accelerator: cu126'"
        return f"{way}; or ask for a version or a build that does without"

    def _channels(
        self,
        named: Iterable[tuple[str, str]],
        rattler: Any,  # noqa: ANN401 - a module
    ) -> dict[str, Channel]:
        """Find the channels that are named, each with its place; LockError for those that cannot be asked."""
        issues: list[Issue] = []
        found: dict[str, Channel] = {}
        configured = _configured(self.environ)
        for where, name in named:
            if name == "nodefaults":
                continue
            if _has_credentials(name):
                what = f"{plain(name)!r} carries credentials; they would be written to the lock"
                issues.append(Issue(where, what, _CREDENTIALS))
                continue
            for place in configured.places(name):
                if place == "defaults":
                    fix = "set default_channels in .condarc, or name 'conda-forge'"
                    issues.append(Issue(where, "it is not known which channels 'defaults' means here", fix))
                elif (folder := self._folder_of(place)) and not folder.is_dir():
                    fix = "paths are relative to the file that names them"
                    issues.append(Issue(where, f"got channel {place!r}, and there is no such folder", fix))
                elif folder:
                    found[name] = rattler.Channel(folder.as_uri())
                else:
                    alias = configured.alias
                    config = rattler.ChannelConfig(channel_alias=alias) if alias else None
                    found[name if name != "defaults" else place] = rattler.Channel(place, config)
        if not found and not issues:
            issues.append(Issue("channels", "no channel is named", "add 'channels: [conda-forge]'"))
        if issues:
            raise LockError(*dict.fromkeys(issues))
        return found

    def _folder_of(self, place: str) -> Path | None:
        """Find the folder that a channel is, None where it is no folder."""
        if place.startswith("file://"):
            return Path(unquote(urlsplit(place).path))
        return (self.folder / place).resolve() if place.startswith((".", "/")) else None

    def _virtual(
        self,
        platform: Platform,
        base: LockedBase,
        rattler: Any,  # noqa: ANN401 - a module
    ) -> list[GenericVirtualPackage]:
        """Say what the machine that runs a package has, as conda's virtual packages (CEP 30)."""
        there = {
            "__unix": ("0", "0"),
            "__linux": (_LINUX, "0"),
            "__glibc": (f"{base.libc.major}.{base.libc.minor}", "0"),
            "__archspec": ("1", MACHINES[platform.architecture]),
        }
        if version := cuda(self.accelerator):
            there["__cuda"] = (f"{version[0]}.{version[1]}", "0")
        return [
            rattler.GenericVirtualPackage(
                rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
            )
            for name, (version, build) in there.items()
        ]


def interpreter(packages: Iterable[LockedConda]) -> Interpreter:
    """Return the Python among conda packages; LockError where there is none."""
    version = next((one.version for one in packages if one.name == "python"), None)
    if version is None:
        raise LockError(Issue("conda packages", "there is no python among them", "name 'python=3.11'"))
    minor = ".".join(version.split(".")[:2])
    return Interpreter(f"{PREFIX}/bin/python{minor}", version)


@dataclass(frozen=True, slots=True)
class _Configured:
    """What conda's own configuration says of channels (.condarc)."""

    alias: str | None
    custom: Mapping[str, str]
    defaults: tuple[str, ...]

    def places(self, name: str) -> tuple[str, ...]:
        """Return the channels, or their addresses, that a name stands for."""
        if name == "defaults" and self.defaults:
            return self.defaults
        root = self.custom.get(name.partition("/")[0])
        return (f"{root.rstrip('/')}/{name}",) if root else (name,)


def _configured(environ: Mapping[str, str]) -> _Configured:
    import yaml

    path = Path(environ.get("CONDARC") or Path(environ.get("HOME") or os.curdir, ".condarc"))
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        document = None
    except yaml.YAMLError as error:
        raise LockError(Issue(str(path), "not YAML")) from error
    told = document if isinstance(document, dict) else {}
    custom, defaults = told.get("custom_channels"), told.get("default_channels")
    alias = environ.get(ALIAS) or told.get("channel_alias")
    return _Configured(
        f"{str(alias).rstrip('/')}/" if alias else None,
        {str(key): str(value) for key, value in custom.items()} if isinstance(custom, dict) else {},
        tuple(map(str, defaults)) if isinstance(defaults, list) else (),
    )


def _wanted(file: CondaFile, platform: Platform, python: str | None) -> list[Package]:
    """List what counts on a platform; LockError where that depends on a Python that is not named."""
    from packaging.markers import Marker

    named = file.python or python
    minor = ".".join(named.split(".")[:2]) if named else None
    environment = {"platform_machine": MACHINES[platform.architecture], "python_version": minor or "0"}
    issues: list[Issue] = []

    def counts(package: Package) -> bool:
        if isinstance(package.condition, bool):
            return package.condition
        if minor is None and "python_version" in package.condition:
            what = "its selector asks for Python's version, and none is named"
            issues.append(Issue(package.where, what, "name one, such as 'python=3.11'"))
        return Marker(package.condition).evaluate(environment)

    found = [package for package in file.packages if counts(package)]
    if issues:
        raise LockError(*issues)
    version = f"{minor}.*" if minor else None
    return [file.python_spec or Package("python", MatchSpec("python", "python", version)), *found]


def _text(spec: MatchSpec, channels: Mapping[str, Channel]) -> str:
    """Write a specification in the one form that leaves nothing to be guessed."""
    # a version by itself is exact, which rattler wants to be said
    version = _BARE.sub(r"\1==\2", spec.version) if spec.version else None
    further = {"version": version, "build": spec.build, **spec.further}
    listed = ",".join(f"{key}={value!r}" for key, value in further.items() if value is not None)
    channel = channels.get(_without_subdir(spec.channel)) if spec.channel else None
    source = f"{channel.base_url.rstrip('/')}::" if channel else ""
    return f"{source}{spec.name}" + (f"[{listed}]" if listed else "")


def _without_subdir(channel: str) -> str:
    """Return `conda-forge` of `conda-forge/linux-64`."""
    head, _, last = channel.rpartition("/")
    return head if last in {*SUBDIRS, "noarch"} else channel


async def _settled(solving: Awaitable[list[RepoDataRecord]]) -> list[RepoDataRecord]:
    """Wait for an answer, and for rattler's own thread to let go of the interpreter, which may end next."""
    import asyncio

    try:
        return await solving
    finally:
        await asyncio.sleep(_LETTING_GO_S)


def _pinned(record: RepoDataRecord) -> LockedConda:
    name, size_bytes = record.name.normalized, record.size
    if not record.sha256 or size_bytes is None:
        what = f"its channel gives no sha256 and size for {record.file_name}"
        raise LockError(Issue(f"conda package {name!r}", what, "index the channel again"))
    digest = Digest.parse(f"sha256:{record.sha256.hex()}")
    return LockedConda(name, str(record.version), str(record.build), str(record.url), digest, size_bytes)


def _has_credentials(channel: str) -> bool:
    if "://" not in channel:
        return False
    parts = urlsplit(channel)
    return bool(parts.username or parts.password or parts.query or plain(channel) != channel)


def _first_lines(text: str, count: int = 3) -> str:
    return "; ".join(line.strip() for line in text.splitlines()[:count] if line.strip())


def _rattler() -> Any:  # noqa: ANN401 - a module
    try:
        import rattler
    except ImportError as error:
        fix = "install 'lading[conda]', or let 'conda: map' find wheels"
        raise LockError(Issue("conda", "py-rattler is not installed, which solves", fix)) from error
    return rattler
