"""Small sealed layers for tests: any files, or the Python that runs them, with the libraries it needs."""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

from lading.core.bill import BilledPackage
from lading.core.descriptor import LAYER_GZIP, Descriptor
from lading.core.digest import Digest
from lading.core.errors import Issue, RegistryError
from lading.core.image import Kind, Layer
from lading.core.platform import Platform

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = f"/usr/bin/python{MINOR}"
STDLIB = f"usr/lib/python{MINOR}"
_LEFT_OUT = {
    "__pycache__",
    "site-packages",
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "ensurepip",
    "tkinter",
    "turtledemo",
}
_LEFT_OUT |= {
    "turtledemo",
    "pydoc_data",
    "unittest",
    "distutils",
    "sqlite3",
    "curses",
    "dbm",
    "xml",
    "xmlrpc",
    "wsgiref",
}
_LIBRARY = re.compile(r"(/\S+) \(0x")


def foreign_platform() -> Platform:
    """Return the platform that this machine is not."""
    return Platform("linux", "amd64" if Platform.current().architecture == "arm64" else "arm64")


class Blobs:
    """Blobs in memory (core.ports.BlobSource) that count how often they are opened."""

    def __init__(self) -> None:
        self.opened = 0
        self._blobs: dict[Digest, bytes] = {}

    def put(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self._blobs[digest] = data
        return digest

    def size_bytes(self, digest: Digest) -> int | None:
        return len(self._blobs[digest]) if digest in self._blobs else None

    @contextlib.contextmanager
    def open(self, digest: Digest) -> Iterator[IO[bytes]]:
        self.opened += 1
        if digest not in self._blobs:
            raise RegistryError(Issue("blobs", f"no {digest}"))
        yield io.BytesIO(self._blobs[digest])

    def seal(self, tar: bytes, title: str = "layer", kind: Kind = "base") -> Layer:
        """Compress a tar and keep it as a layer."""
        blob = gzip.compress(tar, 1, mtime=0)
        return Layer(Descriptor(LAYER_GZIP, self.put(blob), len(blob)), Digest.of(tar), kind, title)

    def seal_files(
        self, files: Mapping[str, bytes | Path | str], title: str = "files", kind: Kind = "base"
    ) -> Layer:
        """Seal files: bytes, or a file of this machine; text is where a symbolic link leads."""
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, contents in files.items():
                entry = tarfile.TarInfo(name)
                entry.mode = 0o755
                if isinstance(contents, str):
                    entry.type, entry.linkname = tarfile.SYMTYPE, contents
                    archive.addfile(entry)
                    continue
                data = contents.read_bytes() if isinstance(contents, Path) else contents
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return self.seal(stream.getvalue(), title, kind)


def python_files() -> dict[str, bytes | Path | str]:
    """Return the files of the Python that runs: the interpreter, a part of its library, shared libraries."""
    stdlib = Path(sysconfig.get_path("stdlib"))
    executable = Path(sys.executable).resolve()
    files: dict[str, bytes | Path | str] = {PYTHON[1:]: executable}
    native = [executable]
    for path in sorted(stdlib.rglob("*")):
        relative = path.relative_to(stdlib)
        if not path.is_file() or _LEFT_OUT & set(relative.parts) or relative.parts[0].startswith("config-"):
            continue
        if path.suffix in {".py", ".so"}:
            files[f"{STDLIB}/{relative}"] = path
            native += [path] if path.suffix == ".so" else []
    found = subprocess.run(["ldd", *native], capture_output=True, text=True, check=False)
    libraries = {line[1] for line in _LIBRARY.finditer(found.stdout)}
    libraries -= {str(path) for path in native}
    return {**files, **{library[1:]: Path(library).resolve() for library in sorted(libraries)}}


def distribution(prefix: str, name: str, version: str) -> dict[str, bytes | Path | str]:
    """Return the metadata of an installed distribution, below an environment's prefix."""
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 0 is what the text says\n"
    )
    folder = f"{name.lower().replace('-', '_')}-{version}.dist-info"
    return {f"{prefix}/lib/python{MINOR}/site-packages/{folder}/METADATA": metadata.encode()}


def billed(name: str, version: str) -> BilledPackage:
    """List a distribution as a bill does."""
    return BilledPackage(name, version, Digest.of(name.encode()), 1)


@pytest.fixture(scope="session")
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture(scope="session")
def python_layer(blobs: Blobs) -> Layer:
    """A layer in which `PYTHON` runs."""
    return blobs.seal_files(python_files(), f"python {MINOR}")
