"""A file of Parquet or Arrow in, its columns out, as pandas would read them, by pyarrow alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lading.core.errors import Issue, SpecError
from lading.core.signature import Field
from lading.signature.columns import Values
from lading.signature.values import Kind, Vector

_NULLABLE = {
    **dict.fromkeys(("Int8", "Int16", "Int32", "UInt8", "UInt16"), "integer"),
    **dict.fromkeys(("Int64", "UInt32"), "long"),
    "Float32": "float",
    "Float64": "double",
    "boolean": "boolean",
}
"""pandas' own types, which know what is missing."""
_ROWS = 65_536
_SUFFIXES = {".parquet", ".pq"}


def read(path: Path) -> Iterator[tuple[str, Field | ValueError]]:
    """Yield the columns' names, each with its field, or why it has none; raise SpecError for no such file."""
    try:
        import pyarrow as pa
    except ImportError:
        fix = "install lading[data], or write the rows as .csv, .json, .jsonl or .npy"
        raise SpecError(Issue(str(path), "is read by pyarrow, which is not installed", fix)) from None
    try:
        schema, batches = _open(path, pa)
        twice = [name for name, count in Counter(schema.names).items() if count > 1]
        if twice:
            raise SpecError(
                Issue(str(path), f"has several columns called {twice[0]!r}", "name each otherwise")
            )
        told: Mapping[str, Any] = schema.pandas_metadata or {}
        index = {one for one in told.get("index_columns", ()) if isinstance(one, str)}
        pandas_types = {one.get("field_name"): one.get("numpy_type") for one in told.get("columns", ())}
        columns = [
            (at, one.name, _Column(one.type, pandas_types.get(one.name)))
            for at, one in enumerate(schema)
            if one.name not in index
        ]
        for batch in batches:
            for at, _, column in columns:
                column.take(batch.column(at), pa)
    except (pa.ArrowException, OSError) as error:
        raise SpecError(Issue(str(path), f"cannot be read: {str(error).splitlines()[0]}")) from error
    for _, name, column in columns:
        yield name, column.field(name)


def _open(path: Path, pa: Any) -> tuple[Any, Iterator[Any]]:  # noqa: ANN401 - the library
    """Return the schema and the batches of rows, one at a time."""
    if path.suffix in _SUFFIXES:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(path)
        return file.schema_arrow, file.iter_batches(_ROWS)
    source = pa.memory_map(str(path))
    try:
        reader = pa.ipc.open_file(source)
        return reader.schema, map(reader.get_batch, range(reader.num_record_batches))
    except pa.ArrowInvalid:
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return stream.schema, iter(stream)


class _Column:
    """What a column is so far."""

    def __init__(self, kind: Any, pandas_type: str | None) -> None:  # noqa: ANN401 - one of pyarrow's types
        self.kind = kind
        self.pandas_type = pandas_type
        self.missing = False
        self.values = Values()
        self.problem: ValueError | None = None

    def take(self, array: Any, pa: Any) -> None:  # noqa: ANN401 - of pyarrow
        """Look at an array of values."""
        if pa.types.is_floating(self.kind):
            self.missing = self.missing or array.null_count > 0 or _has_nan(array)
        elif self._is_plain(pa):
            self.missing = self.missing or array.null_count > 0
        elif self.problem is None:
            try:
                self.values.take(_values(array, pa))
            except ValueError as error:
                self.problem = error

    def _is_plain(self, pa: Any) -> bool:  # noqa: ANN401 - the library
        """Tell whether the type of a column is that of its values, whatever they are."""
        kinds = pa.types
        return any(
            check(self.kind)
            for check in (kinds.is_integer, kinds.is_floating, kinds.is_timestamp, kinds.is_duration)
        )

    def field(self, name: str) -> Field | ValueError:
        """Return the column, or why it has none."""
        import pyarrow as pa

        if self.pandas_type in _NULLABLE:
            missing = self.missing or self.values.missing
            return Field(_NULLABLE[self.pandas_type], name, required=not missing)
        if not self._is_plain(pa):
            try:
                return self.problem or self.values.field(name)
            except ValueError as error:
                return error
        kind = _plain(self.kind, pa, missing=self.missing)
        if kind is None:
            return ValueError(f"{self.kind} has no type in a signature")
        return Field(kind, name, required=not self.missing)


def _plain(kind: Any, pa: Any, *, missing: bool) -> str | None:  # noqa: ANN401 - of pyarrow
    """Return the type of a column whose values are all of one size; None where there is none."""
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_floating(kind):
        return "double" if kind.bit_width == 64 else "float"
    if pa.types.is_integer(kind):
        # pandas has no whole numbers with holes among them
        return "double" if missing else _whole(kind, pa)
    return None


def _whole(kind: Any, pa: Any) -> str | None:  # noqa: ANN401 - of pyarrow
    signed = pa.types.is_signed_integer(kind)
    if kind.bit_width < 32 or (signed and kind.bit_width == 32):
        return "integer"
    return "long" if signed or kind.bit_width < 64 else None


def _has_nan(array: Any) -> bool:  # noqa: ANN401 - of pyarrow
    import pyarrow.compute as pc

    # NaN is itself nowhere
    return bool(pc.any(pc.is_nan(array)).as_py())


def _values(array: Any, pa: Any, *, within: str = "") -> Iterator[Any]:  # noqa: ANN401 - of pyarrow
    """Yield values as pandas has them: `within` a list they are numpy's, within an object Python's own."""
    kind, kinds = array.type, pa.types
    if kinds.is_dictionary(kind):
        # holes are in the indices: the values keep their type
        known = next(_values(array.dictionary, pa, within="object"), None)
        yield from (known if there else None for there in array.is_valid().to_pylist())
    elif kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind):
        inner = list(_values(array.flatten(), pa, within="list"))
        at = 0
        for size in pa.compute.list_value_length(array).to_pylist():
            if size is None:
                yield None
                continue
            yield Vector(inner[at : at + size])
            at += size
    elif kinds.is_struct(kind):
        names = [one.name for one in kind]
        parts = [_values(array.field(at), pa, within="object") for at in range(kind.num_fields)]
        # what an object lacks as a whole, its parts lack too
        for there, *cells in zip(array.is_valid().to_pylist(), *parts, strict=True):
            yield dict(zip(names, cells, strict=True)) if there else None
    else:
        yield from _scalars(array, pa, within)


def _scalars(array: Any, pa: Any, within: str) -> Iterator[Any]:  # noqa: ANN401 - of pyarrow
    kind, kinds = array.type, pa.types
    typed: str | None = None
    if kinds.is_integer(kind):
        # pandas makes floats of whole numbers with holes among them; numpy's small ones MLflow does not know
        own = {"int32": "integer", "int64": "long"}.get(str(kind)) if within == "list" else "long"
        typed = "double" if array.null_count else own
    elif kinds.is_floating(kind):
        own = {32: "float", 64: "double"}.get(kind.bit_width)
        typed = own if within == "list" else "double"
        array = pa.compute.if_else(pa.compute.is_nan(array), None, array)
    elif kinds.is_boolean(kind):
        typed = "boolean"
    elif kinds.is_string(kind) or kinds.is_large_string(kind) or str(kind) == "string_view":
        typed = "string"
    elif (
        kinds.is_binary(kind)
        or kinds.is_large_binary(kind)
        or kinds.is_fixed_size_binary(kind)
        or str(kind) == "binary_view"
    ):
        typed = "binary"
    elif kinds.is_date(kind) or kinds.is_timestamp(kind):
        typed = "datetime"
    known = Kind(typed, str(kind))
    for there in array.is_valid().to_pylist():
        yield known if there else None
