"""An interpreter's archive in; its layer, below a prefix, out (python-build-standalone, "install_only").

The archive's files lie in one folder, `python/`; links in it are relative, so that it runs anywhere.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from lading.core.errors import IntegrityError, Issue
from lading.layers.tar import LayerWriter

# nothing that serving imports: the standard library's own tests, manuals, static libraries, old byte code
_LEFT_OUT = re.compile(r"share/|lib/python3\.\d+/test/|.*\.a\Z|(?:.*/)?__pycache__/")


def write(path: Path, prefix: str, program: str, writer: LayerWriter) -> None:
    """Write an interpreter's files below `prefix`; equal archives, equal bytes.

    IntegrityError for an archive that cannot be read, that lacks its `program` (`bin/python3.9`) or that
    holds what cannot be laid out.
    """
    written: set[str] = set()
    try:
        # in the archive's own order: to go back in a compressed file is to begin anew
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = _inside(member.name)
                if name is None or _LEFT_OUT.match(name):
                    continue
                written.add(name)
                _write_member(archive, member, name, prefix, writer)
    except (tarfile.TarError, KeyError, EOFError, OSError, zlib.error) as error:
        raise IntegrityError(Issue(path.name, f"cannot be read as an archive: {error}")) from error
    if program not in written:
        raise IntegrityError(
            Issue(path.name, f"has no 'python/{program}'", "lock again with another archive")
        )


def _write_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, prefix: str, writer: LayerWriter
) -> None:
    place = f"{prefix}/{name}"
    if member.issym():
        if not _stays(PurePosixPath(name).parent, member.linkname):
            raise IntegrityError(Issue(name, f"links to {member.linkname!r}, outside of the interpreter"))
        writer.symlink(place, member.linkname)
    elif member.isreg() or member.islnk():
        stream = archive.extractfile(member)
        if stream is None:
            raise IntegrityError(Issue(name, f"links to {member.linkname!r}, which is no file"))
        size_bytes = archive.getmember(member.linkname).size if member.islnk() else member.size
        writer.stream(place, stream, size_bytes, 0o755 if member.mode & 0o100 else 0o644)
    elif not member.isdir():
        raise IntegrityError(Issue(name, "is neither a file, a folder nor a link"))


def _inside(name: str) -> str | None:
    """Return a member's path below the archive's one folder; None for the folder itself."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or parts[:1] != ("python",):
        raise IntegrityError(
            Issue(name, "is not below 'python/', where an interpreter's archive has its files")
        )
    return "/".join(parts[1:]) or None


def _stays(folder: PurePosixPath, target: str) -> bool:
    """Tell whether a link leads to somewhere below the interpreter's own folder."""
    if target.startswith("/"):
        return False
    depth = len(folder.parts)
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True
