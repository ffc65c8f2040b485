from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lading.core.platform import Platform
from lading.layers.tar import LayerWriter, SealedTar
from lading.layers.wheel import Target
from lading.store import MemoryStore


@dataclass
class Sealed:
    """A layer written by a test, and its bytes."""

    tar: SealedTar
    blob: bytes

    @property
    def plain(self) -> bytes:
        return gzip.decompress(self.blob)

    @property
    def members(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.plain)) as archive:
            return {member.name: member for member in archive}

    @property
    def files(self) -> dict[str, bytes]:
        with tarfile.open(fileobj=io.BytesIO(self.plain)) as archive:
            found = [(member.name, archive.extractfile(member)) for member in archive if member.isfile()]
            return {name: source.read() for name, source in found if source}


@pytest.fixture
def seal() -> Callable[[Callable[[LayerWriter], None]], Sealed]:
    def seal(write: Callable[[LayerWriter], None]) -> Sealed:
        store = MemoryStore()
        with store.create() as blob:
            writer = LayerWriter(blob)
            write(writer)
            tar = writer.finish()
        with store.open(tar.digest) as stream:
            return Sealed(tar, stream.read())

    return seal


@pytest.fixture
def target() -> Target:
    return Target("opt/lading/env", "3.11", Platform("linux", "amd64"))


@dataclass
class WheelMaker:
    """Make wheels as a test wants them: sound unless told otherwise."""

    folder: Path

    def __call__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        name: str = "demo",
        version: str = "1.0",
        tag: str = "py3-none-any",
        wheel_version: str = "1.0",
        executable: tuple[str, ...] = (),
        record: Mapping[str, tuple[str, str] | None] | None = None,
        method: int = zipfile.ZIP_DEFLATED,
        extra: Callable[[zipfile.ZipFile], None] | None = None,
    ) -> Path:
        info = f"{name}-{version}.dist-info"
        contents = {
            **(files or {}),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
            f"{info}/WHEEL": f"Wheel-Version: {wheel_version}\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        }
        rows = {path: (sha256(data), str(len(data))) for path, data in contents.items()}
        for path, row in (record or {}).items():
            if row is None:
                del rows[path]
            else:
                rows[path] = row
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows((path, *row) for path, row in rows.items())
        contents[f"{info}/RECORD"] = f"{text.getvalue()}{info}/RECORD,,\n".encode()
        wheel = self.folder / f"{name}-{version}-{tag}.whl"
        with zipfile.ZipFile(wheel, "w", method) as archive:
            for path, data in contents.items():
                entry = zipfile.ZipInfo(path)
                entry.compress_type = method
                entry.external_attr = (stat.S_IFREG | (0o755 if path in executable else 0o644)) << 16
                archive.writestr(entry, data)
            if extra:
                extra(archive)
        return wheel


def sha256(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


@pytest.fixture
def make_wheel(tmp_path: Path) -> WheelMaker:
    folder = tmp_path / "wheels"
    folder.mkdir()
    return WheelMaker(folder)
