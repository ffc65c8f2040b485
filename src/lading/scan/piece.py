"""A file, or a member of an archive: its name goes in, its bytes at a path come out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lading.core.errors import Issue, ModelError
from lading.core.model import ModelFile
from lading.model.compression import plausible_bytes

_CHUNK_BYTES = 1 << 20


@dataclass(slots=True)
class Room:
    """What may yet come out of a file on disk, all that lies within it taken together."""

    left_bytes: int
    file_bytes: int

    def take(self, size_bytes: int, name: str) -> None:
        """Take so much; raise ModelError where more comes out of the file than is plausible."""
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise ModelError(Issue(name, "more comes out of the file than is plausible"))


@dataclass(frozen=True, slots=True)
class Piece:
    """Something to look at."""

    file: str
    """The file on disk that it is, or is in."""
    name: str
    """What findings call it: `model.zip!data.pkl`."""
    path: Path
    """Where its bytes lie: a copy, of what is in an archive."""
    size_bytes: int
    room: Room
    depth: int = 0

    @classmethod
    def of_file(cls, name: str, path: Path, size_bytes: int) -> Piece:
        """Make it of a file on disk."""
        return cls(name, name, path, size_bytes, Room(plausible_bytes(size_bytes), size_bytes))

    @property
    def last(self) -> str:
        """Return the name alone, without folders and archives."""
        return self.name.rpartition("!")[2].rpartition("/")[2]

    @property
    def model_file(self) -> ModelFile:
        """Return it as what the walk over pickles takes."""
        return ModelFile(self.name, self.path, self.size_bytes)

    def start(self, size_bytes: int = 4096) -> bytes:
        """Read its first bytes; raise OSError where it cannot be read."""
        with self.path.open("rb") as stream:
            return stream.read(size_bytes)

    def limit_bytes(self, packed_bytes: int | None = None) -> int:
        """Tell how much may plausibly come out of it, or of so many bytes of it."""
        packed = self.size_bytes if packed_bytes is None else min(packed_bytes, self.size_bytes)
        return plausible_bytes(packed)


@contextmanager
def spooled(
    piece: Piece, member: str, first: bytes, read: Callable[[int], bytes], limit_bytes: int
) -> Iterator[Piece]:
    """Copy a member to a file that has no name, and give it as a piece; `first` has been read already.

    Raises ModelError where more comes out than is plausible.
    """
    name = f"{piece.name}!{member}"
    with tempfile.TemporaryFile(prefix="lading-scan-") as file:
        size_bytes, data = 0, first or read(_CHUNK_BYTES)
        while data:
            size_bytes += len(data)
            if size_bytes > limit_bytes:
                raise ModelError(Issue(name, "it inflates to an implausible size"))
            piece.room.take(len(data), name)
            file.write(data)
            data = read(_CHUNK_BYTES)
        file.flush()
        path = Path(f"/proc/self/fd/{file.fileno()}")
        yield Piece(piece.file, name, path, size_bytes, piece.room, piece.depth + 1)
