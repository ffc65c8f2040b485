"""A file of CSV in, its columns out, as `pandas.read_csv` reads them; its cells are not kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from lading.core.errors import Issue, SpecError
from lading.core.signature import Field
from lading.signature.columns import Texts


def read(path: Path) -> Iterator[tuple[str, Field | ValueError]]:
    """Yield the columns' names, each with its field, or why it has none; raise SpecError for no CSV.

    The first line is the header. Rows of one cell more than it has begin with an index, which is no column.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream)
        try:
            names, seen = _columns(line for line in reader if line)
        except (csv.Error, ValueError) as error:
            if isinstance(error, UnicodeDecodeError):
                raise
            raise SpecError(Issue(f"{path}:{reader.line_num}", f"no CSV: {error}")) from error
    for name, one in zip(names, seen, strict=True):
        try:
            yield name, one.field(name)
        except ValueError as error:
            yield name, error


def _columns(lines: Iterator[list[str]]) -> tuple[list[str], list[Texts]]:
    header = next(lines, None)
    if header is None:
        raise ValueError("got an empty file, expected a line of names")
    names = _named(header)
    seen = [Texts() for _ in names]
    skipped = None
    for cells in lines:
        if skipped is None:
            skipped = int(len(cells) == len(names) + 1)
        if len(cells) - skipped > len(names):
            raise ValueError(f"got {len(cells)} cells, expected {len(names) + skipped}")
        for at, one in enumerate(seen, skipped):
            one.take(cells[at] if at < len(cells) else "")
    return names, seen


def _named(cells: Sequence[str]) -> list[str]:
    """Name columns as pandas does: one without a name by its place, one that comes again by a number."""
    names: list[str] = []
    for at, cell in enumerate(cells):
        name = cell or f"Unnamed: {at}"
        known, count = name, 0
        while name in names or (count and name in cells):
            count += 1
            name = f"{known}.{count}"
        names.append(name)
    return names
