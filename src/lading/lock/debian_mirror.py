"""The machine's settings in; the mirror of Debian or Ubuntu to use out.

What was configured for lading comes first (`LADING_DEBIAN_MIRROR`, or a value from its configuration file),
then apt's own sources. Sources: sources.list(5), apt.conf(5), apt-transport-http(1).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from lading.core.errors import Issue, LockError
from lading.core.lock import LockedDeb
from lading.lock.distribution import DEBIAN, Distribution, ported

_SETTING = re.compile(r'(Acquire::[^ ]+) "(.*)";')
_OPTION = re.compile(r"([a-z-]+)=(\S+)")


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where Debian packages come from; no URI carries credentials."""

    main: str
    """URI of the archive, without a slash at its end."""
    security: str | None
    """URI of the security archive; None does without security updates."""
    keyrings: tuple[Path, ...] = ()
    """Keys that apt accepts for these sources, beside the distribution's own."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """A proxy for each host that apt reaches through one."""
    credentials: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    """User and password for each host whose URI had them."""
    distribution: Distribution = DEBIAN
    checks_valid_until: bool = True
    """Whether an index past its date is refused, as apt is told by `Acquire::Check-Valid-Until`."""

    def urls(self, deb: LockedDeb) -> tuple[str, ...]:
        """Return where a package may lie: the likelier archive first."""
        archives = [self.main, *([self.security] if self.security else [])]
        if deb.filename.startswith("pool/updates/"):  # where the security archive keeps its pool
            archives.reverse()
        return tuple(f"{archive}/{deb.filename}" for archive in archives)


@dataclass(frozen=True, slots=True)
class _Source:
    """One archive in apt's sources that serves a distribution's `main`."""

    uri: str
    pockets: frozenset[str]
    signed_by: Path | None


def find_mirror(
    configured: str | None = None,
    *,
    distribution: Distribution = DEBIAN,
    architecture: str = "amd64",
    environ: Mapping[str, str] = os.environ,
    apt: Path = Path("/etc/apt"),
    acquire: Mapping[str, str] | None = None,
) -> Mirror:
    """Return the mirror of a distribution that this machine is set up for.

    `configured` is the value from lading's configuration file, `apt` the folder of apt's sources, `acquire`
    apt's settings (None: `apt-config` is asked). LockError where nothing names a mirror.
    """
    acquire = _apt_settings() if acquire is None else acquire
    variable = distribution.variable
    chosen = environ.get(variable) or configured
    if distribution.ports_variable and ported(distribution, architecture):
        variable = distribution.ports_variable
        chosen = environ.get(variable) or chosen
    sources = [] if chosen else list(_sources(apt, distribution))
    main = _best((source for source in sources if "" in source.pockets), distribution)
    uri = chosen or (main.uri if main else None)
    if not uri:
        title = distribution.title
        raise LockError(
            Issue(
                "base",
                f"no {title} mirror is known: apt is not set up here for {title}",
                f"set {variable} to the URI of one, or name another base with --base",
            )
        )
    patched = (source for source in sources if source.pockets & {"-security", "/updates"})
    security = _best(patched, distribution)
    beside = f"{uri.rstrip('/')}-security" if distribution == DEBIAN else uri
    security_uri = environ.get(distribution.security_variable) or (security.uri if security else beside)
    keyrings = {
        one.signed_by for one in (main, security) if one and one.signed_by and one.signed_by.is_file()
    }
    if named := environ.get(distribution.keyring_variable):
        keyrings.add(Path(named))
    mirror = Mirror(
        uri,
        None if security_uri == "none" else security_uri,
        tuple(sorted(keyrings)),
        distribution=distribution,
        checks_valid_until=acquire.get("Acquire::Check-Valid-Until", "true").lower()
        not in {"false", "no", "0", "off", "without", "disable"},
    )
    return _with_proxies(_without_credentials(mirror), acquire)


def _without_credentials(mirror: Mirror) -> Mirror:
    """Move user names and passwords out of the URIs."""
    credentials: dict[str, tuple[str, str]] = {}
    plain: list[str | None] = []
    for uri in (mirror.main, mirror.security):
        if uri is None:
            plain.append(None)
            continue
        parts = urlsplit(uri)
        if parts.scheme not in {"http", "https", "file"}:
            raise LockError(
                Issue(
                    f"{mirror.distribution.title} mirror",
                    f"got a URI of scheme {parts.scheme!r}, expected http, https or file",
                )
            )
        if parts.username is not None:
            credentials[parts.hostname or ""] = (unquote(parts.username), unquote(parts.password or ""))
        plain.append(urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])).rstrip("/"))
    return replace(mirror, main=plain[0] or "", security=plain[1], credentials=credentials)


def _with_proxies(mirror: Mirror, acquire: Mapping[str, str]) -> Mirror:
    """Find apt's proxy for each host: `Acquire::http::Proxy::HOST` before `Acquire::http::Proxy`."""
    proxies: dict[str, str] = {}
    for uri in filter(None, (mirror.main, mirror.security)):
        parts = urlsplit(uri)
        scheme, host = parts.scheme, parts.hostname or ""
        general = acquire.get(f"Acquire::{scheme}::Proxy") or acquire.get("Acquire::http::Proxy")
        proxy = acquire.get(f"Acquire::{scheme}::Proxy::{host}", general)
        if proxy and proxy.upper() not in {"DIRECT", "FALSE"}:
            proxies[host] = proxy
    return replace(mirror, proxies=proxies)


def _best(sources: Iterator[_Source], distribution: Distribution) -> _Source | None:
    """Return the source that is most likely the archive itself; others use its suites' names for theirs."""

    def doubts(source: _Source) -> tuple[bool, bool, bool]:
        foreign = source.signed_by is not None and distribution.keyring not in source.signed_by.name
        path = urlsplit(source.uri).path.rstrip("/")
        return foreign, "-updates" not in source.pockets, not path.endswith(distribution.folders)

    return min(sources, key=doubts, default=None)


def _sources(apt: Path, distribution: Distribution) -> Iterator[_Source]:
    """Read sources.list and sources.list.d, one source for each URI."""
    found: dict[str, _Source] = {}
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        rows = _stanzas(text) if path.suffix == ".sources" else _lines(text) if path.suffix == ".list" else ()
        for uris, suites, signed_by in rows:
            pockets = frozenset(
                match["pocket"] or "" for match in map(distribution.suites.match, suites) if match
            )
            keyring = Path(signed_by) if signed_by.startswith("/") else None
            for uri in filter(None, map(_reachable, uris)):
                if pockets:
                    known = found.get(uri, _Source(uri, frozenset(), keyring))
                    found[uri] = replace(known, pockets=known.pockets | pockets)
    yield from found.values()


def _lines(text: str) -> Iterator[tuple[list[str], list[str], str]]:
    """Read the one-line style: `deb [options] URI suite component…`."""
    for line in text.splitlines():
        body = line.partition("#")[0].strip()
        options = ""
        if (at := body.find("[")) != -1 and (end := body.find("]", at)) != -1:
            options, body = body[at + 1 : end], body[:at] + body[end + 1 :]
        match body.split():
            case ["deb", uri, suite, *components] if "main" in components:
                yield [uri], [suite], dict(_OPTION.findall(options)).get("signed-by", "")
            case _:
                continue


def _stanzas(text: str) -> Iterator[tuple[list[str], list[str], str]]:
    """Read the deb822 style: fields in stanzas."""
    body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", body):
        joined = re.sub(r"\n[ \t]+", " ", stanza)
        rows = (line.partition(":") for line in joined.splitlines())
        fields = {key.strip().lower(): value.strip() for key, _, value in rows}
        if (
            "deb" in fields.get("types", "").split()
            and "main" in fields.get("components", "").split()
            and fields.get("enabled", "yes").lower() not in {"no", "false", "0", "off"}
        ):
            yield (
                fields.get("uris", "").split(),
                fields.get("suites", "").split(),
                fields.get("signed-by", ""),
            )


def _reachable(uri: str) -> str | None:
    """Return a URI that can be fetched; of a list of mirrors in a file the first."""
    if uri.startswith(("http://", "https://", "file:/")):
        return uri if "://" in uri else uri.replace("file:", "file://", 1)
    if uri.startswith("mirror+file:"):
        try:
            lines = Path(urlsplit(uri).path).read_text(encoding="utf-8").splitlines()
        except OSError:
            return None
        first = (line.split()[0] for line in lines if line.strip() and not line.startswith("#"))
        return next(filter(None, map(_reachable, first)), None)
    return None


def _apt_settings() -> dict[str, str]:
    """Ask apt for its settings; empty where there is no apt."""
    if not (tool := shutil.which("apt-config")):
        return {}
    done = subprocess.run([tool, "dump", "Acquire"], capture_output=True, text=True, check=False, timeout=10)
    return dict(_SETTING.findall(done.stdout))
