"""Tiny wheels and source distributions, and an index of wheels that is a folder."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path


class Wheelsmith:
    """Makes wheels and source distributions in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def wheel(
        self, name, version, *requires, tag="py3-none-any", python=None, size_bytes=0, source="", files=None
    ) -> Path:
        stem = f"{name.replace('-', '_')}-{version}"
        metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
        metadata += [f"Requires-Dist: {one}\n" for one in requires]
        metadata += [f"Requires-Python: {python}\n"] if python else []
        files = {
            **(files or {f"{name.replace('-', '_')}.py": "x" * size_bytes + source}),
            f"{stem}.dist-info/METADATA": "".join(metadata),
            f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        }
        record = "".join(f"{path},{_sha256(text)},{len(text)}\n" for path, text in files.items())
        files[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n"
        path = self.folder / f"{stem}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for inner, text in files.items():
                archive.writestr(zipfile.ZipInfo(inner), text)
        return path

    def sdist(self, name, version, files) -> Path:
        stem = f"{name.replace('-', '_')}-{version}"
        files = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", **files}
        path = self.folder / f"{stem}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for inner, text in files.items():
                member = tarfile.TarInfo(f"{stem}/{inner}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return path


def _sha256(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def hex_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TorchIndex:
    """A stand-in for PyTorch's indexes: a folder for each accelerator, in each one for each package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def wheel(self, accelerator, name, version, *requires, tag="py3-none-any", **more) -> Path:
        folder = self.folder / accelerator / name
        made = Wheelsmith(folder).wheel(name, version, *requires, tag=tag, **more)
        (folder / "index.html").write_text(self.page(accelerator, name))
        return made

    def page(self, accelerator: str, name: str) -> str:
        """Write a package's page (PEP 503)."""
        links = (
            f'<a href="{one.name.replace("+", "%2B")}#sha256={hex_of(one)}">{one.name}</a>'
            for one in sorted((self.folder / accelerator / name).glob("*.whl"))
        )
        return f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>"
