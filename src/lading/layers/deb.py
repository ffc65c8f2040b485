"""A Debian package in; its files, as they lie on a system with merged /usr, in a layer out.

No maintainer script is run. Sources: deb(5), Debian Policy 10 (files) and 12.5 (copyright), and the layout of
usrmerge: /bin, /sbin and /lib* are links into /usr.
"""

from __future__ import annotations

import lzma
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lading.core.errors import IntegrityError, Issue
from lading.layers.compress import zstd_pieces
from lading.layers.tar import LayerWriter

MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
"""What lies under /usr, with a link at its old place."""

_LEFT_OUT = (
    "usr/share/bug/",
    "usr/share/doc-base/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    # every time zone once more, with leap seconds or under another name
    "usr/share/zoneinfo/posix/",
    "usr/share/zoneinfo/right/",
)
_DOC = "usr/share/doc/"
_MAGIC, _HEADER_BYTES = b"!<arch>\n", 60
_PIECE_BYTES, _IN_MEMORY_BYTES = 1 << 20, 32 << 20
_MOST_BYTES, _MOST_RATIO = 8 << 30, 200


def write(deb: Path, writer: LayerWriter, *, merged: bool = True) -> None:
    """Write a package's files into a layer, for a system with merged /usr or without.

    Manuals, translations and documentation but the copyright are left out; hard links become copies; setuid
    and setgid bits are dropped. IntegrityError for a package that is damaged, or has paths that escape,
    devices, or sizes beyond reason.
    """
    with _opened(deb, "data.tar") as archive:
        for path, member in sorted(_members(archive, deb, merged=merged).items()):
            if _is_left_out(path, member):
                continue
            if member.isdir():
                writer.directory(path, member.mode & 0o1777)
            elif member.issym():
                writer.symlink(path, _target(member, deb, merged=merged))
            else:
                source = archive.extractfile(member)
                assert source is not None, path  # a regular file has contents
                writer.stream(path, source, member.size, member.mode & 0o777)


def control(deb: Path) -> str:
    """Return a package's control stanza; IntegrityError where there is none."""
    if (text := _about(deb, "control")) is None:
        raise IntegrityError(Issue(deb.name, "the package has no control file"))
    return text.strip("\n") + "\n"


def script(deb: Path) -> str:
    """Return the script that configures a package, empty where it has none; it is never run."""
    return _about(deb, "postinst") or ""


def sums(deb: Path) -> str:
    """Return the list of digests that a package brings (deb-md5sums(5)), empty where it has none."""
    return _about(deb, "md5sums") or ""


def configures(deb: Path, folder: str) -> bool:
    """Tell whether a package has configuration files below a folder (deb-conffiles(5))."""
    lines = (_about(deb, "conffiles") or "").splitlines()
    return any(line.strip().startswith(f"{folder}/") for line in lines)


def _about(deb: Path, name: str) -> str | None:
    with _opened(deb, "control.tar") as archive:
        for member in archive:
            source = archive.extractfile(member) if member.isfile() else None
            if source and posixpath.normpath(member.name) == name:
                return source.read().decode("utf-8", "replace")
    return None


def read(deb: Path, folder: str, *, merged: bool = True) -> dict[str, bytes]:
    """Return the small files of a package below a folder, by path (`usr/share/…`)."""
    return dict(files(deb, lambda path: path.startswith(f"{folder}/"), merged=merged))


def files(deb: Path, wanted: Callable[[str], bool], *, merged: bool = True) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a package whose paths are wanted, in order."""
    with _opened(deb, "data.tar") as archive:
        for path, member in sorted(_members(archive, deb, merged=merged).items()):
            source = archive.extractfile(member) if member.isfile() and wanted(path) else None
            if source:
                yield path, source.read()


def paths(deb: Path, *, merged: bool = True) -> list[str]:
    """Return the paths that `write` lays out, directories among them, in order."""
    with _opened(deb, "data.tar") as archive:
        members = _members(archive, deb, merged=merged)
        return sorted(path for path, member in members.items() if not _is_left_out(path, member))


def place(path: str, *, merged: bool) -> str:
    """Return where an absolute path of a package really lies, relative to the root."""
    return _merged(path.lstrip("/")) if merged else path.lstrip("/")


def _members(archive: tarfile.TarFile, deb: Path, *, merged: bool = True) -> dict[str, tarfile.TarInfo]:
    """Return what each path holds once it is laid out, hard links as the files they lead to."""
    members: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        path = _path(member.name, deb)
        if not path or (path in MERGED and (member.isdir() or member.issym())):
            continue
        resolved: tarfile.TarInfo | None = member
        if member.islnk():
            resolved = members.get(place(_path(member.linkname, deb), merged=merged))
        if resolved is None or not (resolved.isfile() or resolved.isdir() or resolved.issym()):
            raise IntegrityError(Issue(deb.name, f"{member.name!r} is neither file, directory nor link"))
        if resolved.size < 0:
            raise IntegrityError(Issue(deb.name, f"{member.name!r} has a length below zero"))
        known = members.setdefault(place(path, merged=merged), resolved)
        if known is not resolved and not (known.isdir() and resolved.isdir()):
            raise IntegrityError(Issue(deb.name, f"{member.name!r} comes twice"))
    return members


def _is_left_out(path: str, member: tarfile.TarInfo) -> bool:
    if f"{path}/".startswith(_LEFT_OUT) or "__pycache__" in path.split("/"):
        return True
    # a package's folder of documentation may be a link to another's
    is_document = path.startswith(_DOC) and path.count("/") > _DOC.count("/")
    return is_document and not member.isdir() and path.rpartition("/")[2] != "copyright"


def _path(name: str, deb: Path) -> str:
    """Return a path relative to the root, empty for the root itself; refuse one that escapes."""
    parts = name.removeprefix("./").rstrip("/").split("/")
    if parts in ([""], ["."]):
        return ""
    if any(part in {"", ".", ".."} for part in parts):
        raise IntegrityError(Issue(deb.name, f"{name!r} is not a path below the root"))
    return "/".join(parts)


def _merged(path: str) -> str:
    """Return where a path really lies once /bin, /sbin and /lib* are links into /usr."""
    return f"usr/{path}" if path.partition("/")[0] in MERGED else path


def _target(member: tarfile.TarInfo, deb: Path, *, merged: bool) -> str:
    """Return a link's target such that it leads from the new place to where the old one led."""
    if not merged:
        return member.linkname
    link = _path(member.name, deb)
    meant = posixpath.join("/", posixpath.dirname(link), member.linkname)
    if member.linkname.startswith("/"):
        return f"/{_merged(posixpath.normpath(meant).lstrip('/'))}"
    if _merged(link) == link and posixpath.normpath(meant).split("/")[1] not in MERGED:
        return member.linkname
    target = _merged(posixpath.normpath(meant).lstrip("/"))
    return posixpath.relpath(f"/{target}", f"/{posixpath.dirname(_merged(link))}")


@contextmanager
def _opened(deb: Path, stem: str) -> Iterator[tarfile.TarFile]:
    """Open one of a package's two archives, `control.tar` or `data.tar`."""
    try:
        with deb.open("rb") as file, tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as plain:
            name, size_bytes = _find(file, stem, deb)
            _uncompress(file, name, size_bytes, plain)
            plain.seek(0)
            with tarfile.open(fileobj=plain, mode="r:") as archive:
                yield archive
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError) as error:
        raise IntegrityError(Issue(deb.name, f"{stem} is damaged: {error}")) from error


def _find(file: IO[bytes], stem: str, deb: Path) -> tuple[str, int]:
    """Go to the archive in the `ar` file; return its name and length."""
    length = deb.stat().st_size
    if file.read(len(_MAGIC)) == _MAGIC:
        while len(header := file.read(_HEADER_BYTES)) == _HEADER_BYTES:
            name = header[:16].decode("ascii", "replace").rstrip(" /")
            digits = header[48:58].strip()
            if header[58:] != b"`\n" or not digits.isdigit() or file.tell() + int(digits) > length:
                break
            if name.startswith(stem):
                return name, int(digits)
            file.seek(int(digits) + int(digits) % 2, 1)
    raise IntegrityError(Issue(deb.name, f"not a whole Debian package: no {stem}"))


def _uncompress(file: IO[bytes], name: str, size_bytes: int, plain: IO[bytes]) -> None:
    """Uncompress an archive, up to a size beyond which no honest package goes."""
    limit_bytes = min(_MOST_BYTES, _MOST_RATIO * size_bytes + _PIECE_BYTES)
    left = size_bytes
    inflate = _inflater(name)
    while left:
        chunk = file.read(min(left, _PIECE_BYTES))
        if not chunk:
            raise EOFError(f"it ends {left} bytes early")
        left -= len(chunk)
        for piece in inflate(chunk):
            plain.write(piece)
            if plain.tell() > limit_bytes:
                raise IntegrityError(Issue(name, f"grows beyond {limit_bytes} bytes"))


def _inflater(name: str) -> Callable[[bytes], Iterator[bytes]]:
    """Return what uncompresses a chunk into pieces of bounded size."""
    suffix = name.rpartition(".tar")[2]
    if suffix == ".xz":
        xz = lzma.LZMADecompressor(lzma.FORMAT_XZ)

        def pieces(chunk: bytes) -> Iterator[bytes]:
            while True:
                yield xz.decompress(chunk, _PIECE_BYTES)
                chunk = b""
                if xz.eof or xz.needs_input:
                    return

        return pieces
    if suffix == ".gz":
        gz = zlib.decompressobj(zlib.MAX_WBITS | 16)

        def gzip_pieces(chunk: bytes) -> Iterator[bytes]:
            while chunk:
                yield gz.decompress(chunk, _PIECE_BYTES)
                chunk = gz.unconsumed_tail

        return gzip_pieces
    if suffix == ".zst":  # Ubuntu's
        return zstd_pieces(_PIECE_BYTES)
    if suffix == "":
        return lambda chunk: iter((chunk,))
    fix = "take the package from the distribution's own archive"
    raise IntegrityError(Issue(name, "compressed in a way that is not known; expected xz, zstd or gzip", fix))
