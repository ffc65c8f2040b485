"""A base's Debian packages in; the one layer that ties them together, out.

It holds what maintainer scripts would have made: the links of a merged /usr, users, the bundle of CA
certificates, the time zone, the links of alternatives and to Python, Graphviz's list of plugins, the dynamic
linker's cache where it is needed, and dpkg's record of what is installed, which scanners read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from lading.core.errors import IntegrityError, Issue
from lading.layers import alternatives, graphviz, libraries
from lading.layers.deb import control, read
from lading.layers.tar import LayerWriter

VERSION = 4
"""Of what the layer holds: part of its key, raised when it comes out otherwise."""
_USERS = """\
root:x:0:0:root:/root:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
lading:x:65532:0:lading:/tmp:/usr/sbin/nologin
"""
_GROUPS = """\
root:x:0:
nogroup:x:65534:
lading:x:65532:
"""
_NSSWITCH = """\
passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
"""
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_PYTHON = re.compile(r"python3\.(\d+)-minimal\Z")


def write(debs: Iterable[Path], writer: LayerWriter) -> None:
    """Write the base's own layer; the order of the packages does not matter.

    What a package asked for by name brings itself is left to it. IntegrityError where they are no base.
    """
    packages = {field(stanza, "Package"): (stanza, deb) for deb in debs for stanza in (control(deb),)}
    if "ca-certificates" not in packages:
        raise IntegrityError(Issue("base", "it has no package ca-certificates"))
    stanzas = [stanza for _, (stanza, _) in sorted(packages.items())]
    files = {
        "etc/group": _GROUPS.encode(),
        "etc/nsswitch.conf": _NSSWITCH.encode(),
        "etc/passwd": _USERS.encode(),
        BUNDLE: bundle(packages["ca-certificates"][1]),
        "var/lib/dpkg/status": "\n".join(map(installed, stanzas)).encode(),
    }
    paths = [path for _, path in packages.values()]
    files |= graphviz.config(paths, packages.keys())
    if cache := libraries.cache(paths):
        files[libraries.CACHE] = cache
    for path, data in sorted(files.items()):
        writer.file(path, data)
    links = {**alternatives.links(paths), **_links(packages.keys(), stanzas)}
    for path, target in sorted(links.items()):
        writer.symlink(path, target)
    writer.directory("tmp", 0o1777)


def _links(names: Collection[str], stanzas: Iterable[str]) -> dict[str, str]:
    """Return the links that the maintainer scripts, or the packages left out, would have made."""
    links = {name: f"usr/{name}" for name in ("bin", "lib", "sbin")}
    if any(field(stanza, "Architecture") == "amd64" for stanza in stanzas):
        links["lib64"] = "usr/lib64"
    links["etc/localtime"] = "/usr/share/zoneinfo/Etc/UTC"
    if "openssl" not in names:  # where libssl looks for certificates
        links["usr/lib/ssl/cert.pem"] = f"/{BUNDLE}"
        links["usr/lib/ssl/certs"] = "/etc/ssl/certs"
    if "python3-minimal" not in names:
        minors = [int(match[1]) for match in map(_PYTHON.match, names) if match]
        if minors:
            links["usr/bin/python3"] = f"python3.{max(minors)}"
    return links


def bundle(deb: Path) -> bytes:
    """Join the authorities' certificates, as update-ca-certificates(8) does."""
    certificates = read(deb, "usr/share/ca-certificates")
    return b"".join(
        data.strip() + b"\n" for path, data in sorted(certificates.items()) if path.endswith(".crt")
    )


def installed(stanza: str) -> str:
    """Return a control stanza as dpkg records it for an installed package."""
    head, _, rest = stanza.partition("\n")
    if not head.startswith("Package:"):
        raise IntegrityError(Issue("base", f"got a control file that begins {head!r}, expected 'Package:'"))
    return f"{head}\nStatus: install ok installed\n{rest}"


def field(stanza: str, name: str) -> str:
    match = re.search(rf"^{name}: *(\S+)", stanza, re.MULTILINE)
    if not match:
        raise IntegrityError(Issue("base", f"a control file has no field {name!r}"))
    return match[1]
