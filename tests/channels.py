"""A conda channel in a folder, for tests: packages made by hand, indexed by rattler."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

try:
    from compression import zstd
except ImportError:
    from backports import zstd

PLACEHOLDER = "/placehold_" * 20
"""What conda-build writes where the prefix will be; long enough for any."""

File = bytes | Path
"""Contents; or, as a link's target, a relative path."""


class Channel:
    """Makes packages in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return self.folder.absolute().as_uri()

    def package(
        self,
        name: str,
        version: str,
        files: Mapping[str, File] | None = None,
        *,
        depends: Sequence[str] = (),
        subdir: str = "linux-64",
        noarch: str | None = None,
        entry_points: Sequence[str] = (),
        build: str = "0",
        form: str = ".conda",
    ) -> Path:
        """Make a package; what holds the placeholder is said to, what has a shebang or is ELF can run."""
        files = dict(files or {})
        subdir = "noarch" if noarch else subdir
        index = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": subdir}
        index |= {"depends": list(depends), **({"noarch": noarch} if noarch else {})}
        paths = [_told(path, data) for path, data in sorted(files.items())]
        info = {
            "info/index.json": json.dumps(index).encode(),
            "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        }
        if entry_points:
            link = {"noarch": {"type": "python", "entry_points": list(entry_points)}}
            info["info/link.json"] = json.dumps({**link, "package_metadata_version": 1}).encode()
        stem = f"{name}-{version}-{build}"
        path = self.folder / subdir / f"{stem}{form}"
        path.parent.mkdir(exist_ok=True)
        if form == ".tar.bz2":
            with tarfile.open(path, "w:bz2") as archive:
                _add(archive, {**info, **files})
            return path
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
            for part, held in (("pkg", files), ("info", info)):
                tar = io.BytesIO()
                with tarfile.open(fileobj=tar, mode="w") as inner:
                    _add(inner, held)
                archive.writestr(f"{part}-{stem}.tar.zst", zstd.compress(tar.getvalue()))
        return path

    def index(self) -> Channel:
        """Write what a solver reads."""
        from rattler.index import index_fs

        (self.folder / "noarch").mkdir(exist_ok=True)
        asyncio.run(index_fs(self.folder, force=True))
        return self


def distribution(name: str, version: str, folder: str = "site-packages") -> dict[str, bytes]:
    """Return the files of a Python distribution of one module."""
    info = f"{folder}/{name.replace('-', '_')}-{version}.dist-info"
    return {
        f"{folder}/{name.replace('-', '_')}.py": f"VERSION = {version!r}\n".encode(),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/RECORD": b"",
    }


def _told(path: str, data: File) -> dict[str, str]:
    told = {"_path": path, "path_type": "softlink" if isinstance(data, Path) else "hardlink"}
    if isinstance(data, bytes) and PLACEHOLDER.encode() in data:
        mode = "binary" if b"\0" in data else "text"
        told |= {"prefix_placeholder": PLACEHOLDER, "file_mode": mode}
    return told


def _add(archive: tarfile.TarFile, files: Mapping[str, File]) -> None:
    for path, data in sorted(files.items()):
        member = tarfile.TarInfo(path)
        if isinstance(data, Path):
            member.type, member.linkname = tarfile.SYMTYPE, str(data)
            archive.addfile(member)
            continue
        member.size = len(data)
        member.mode = 0o755 if data.startswith((b"#!", b"\x7fELF")) else 0o644
        archive.addfile(member, io.BytesIO(data))


def debian_python(debs: Sequence[Path]) -> dict[str, File]:
    """Return the files of a Python that runs anywhere, from Debian's packages of it: bin/ and lib/."""
    from lading.layers import deb

    files: dict[str, File] = {"bin/python": Path("python3.11"), "bin/python3": Path("python3.11")}
    for path in debs:
        for folder in ("usr/bin", "usr/lib/python3.11"):
            found = deb.read(path, folder)
            files |= {name.removeprefix("usr/"): data for name, data in found.items()}
    # Debian's looks for dist-packages, every other Python for site-packages
    site = files["lib/python3.11/site.py"]
    assert isinstance(site, bytes)
    files["lib/python3.11/site.py"] = site.replace(b"dist-packages", b"site-packages")
    return {name: data for name, data in files.items() if name.startswith(("bin/python", "lib/"))}
