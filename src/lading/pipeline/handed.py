"""This machine's variables go in; a server's own, and the files that they name, come out.

A token or a key is copied, so that the sandbox's user may read it, into a folder that nobody else may enter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lading.core.errors import Issue, SpecError
from lading.pipeline.running import temporary_folder

FILES = {
    "LADING_TOKEN_FILE": "/run/lading/token",
    "LADING_TLS_CERTIFICATE": "/run/lading/certificate",
    "LADING_TLS_KEY": "/run/lading/key",
    "LADING_TLS_CLIENT_CA": "/run/lading/client-ca",
}
"""Settings that are paths here, and where the files are in the sandbox."""
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Handed:
    """What a server gets beside its package: variables, none of which is printed, and files."""

    env: Mapping[str, str] = field(repr=False)
    mounts: Mapping[str, Path]


@contextmanager
def files(environ: Mapping[str, str]) -> Iterator[Handed]:
    """Lend the files that this machine's variables name; raise SpecError, of all at once, without one."""
    named = {name: Path(environ[name]) for name in FILES if environ.get(name)}
    held, problems = {}, []
    for name, path in named.items():
        try:
            with path.open("rb") as stream:
                held[name] = stream.read(_MOST_BYTES)
        except OSError as error:
            what = f"got {str(path)!r}, expected a file that can be read: {error.strerror}"
            problems.append(Issue(name, what, f"name another, or unset {name}"))
    if problems:
        raise SpecError(*problems)
    with temporary_folder() as folder:
        folder.chmod(0o700)
        mounts = {}
        for name, data in held.items():
            copy = folder / Path(FILES[name]).name
            copy.touch(0o600)
            copy.write_bytes(data)
            copy.chmod(0o444)
            mounts[FILES[name]] = copy
        yield Handed({name: FILES[name] for name in named}, mounts)
