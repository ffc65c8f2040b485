"""A JSON body of nothing but numbers in, the answer of a compiled form out, with no message between.

Law: what it answers, the long way answers the same; what it leaves (None) goes the long way. So it is for
tables of doubles alone, in columns as the model has them, and any doubt is left: nothing is refused here.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from itertools import chain
from time import perf_counter
from typing import Any, Optional

import msgspec

from lading_runtime.compiled.form import Form
from lading_runtime.front.compiled import CompiledBackend
from lading_runtime.front.decode import LARGE_BYTES
from lading_runtime.front.messages import Request
from lading_runtime.front.model import Model
from lading_runtime.front.schema import Schema

Shortcut = Callable[[Request], "bytes | None"]
"""Answers `{"predictions": …}`."""
_EXACT = float(1 << 53)
_NUMERIC = {"INT64": None, "INT32": None, "FP64": None, "FP32": "f"}
"""Datatypes whose numbers JSON prints as the form gives them; singles are rounded before."""
_JSON = b"application/json"
_ANY = {b"*/*", _JSON}
_encode = msgspec.json.Encoder().encode

_Rows = list[list[float]]


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: _Rows


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """One of the keys that a table of numbers comes under."""

    instances: Optional[_Rows] = None  # noqa: UP045 - evaluated at run time
    inputs: Optional[_Rows] = None  # noqa: UP045
    dataframe_split: Optional[_Split] = None  # noqa: UP045
    dataframe_records: Optional[list[dict[str, float]]] = None  # noqa: UP045


_decode = msgspec.json.Decoder(_Body).decode


def find(model: Model) -> Shortcut | None:
    """Return the short way to a compiled form's answers, None where there is none."""
    backend, schema, settings = model.backend, model.schema, model.settings
    if settings.lenient or settings.default_accept.encode() != _JSON:
        return None
    if not isinstance(backend, CompiledBackend) or not _fits(schema, backend.form):
        return None
    form = backend.form
    return _Way(model, backend, form, [one.name for one in schema.columns] if schema.named else None).answer


def _fits(schema: Schema, form: Form) -> bool:
    """Tell whether requests are rows of doubles, and answers numbers that JSON has."""
    kinds = {one.kind for one in schema.columns} | {one.kind for one in schema.tensors}
    names = [one.name for one in schema.columns] if schema.named else None
    is_table = len(schema.tensors) == 0 or (
        len(schema.tensors) == 1 and list(schema.tensors[0].shape) in ([-1, -1], [-1, form.width])
    )
    return (
        form.takes_doubles
        and form.datatype in _NUMERIC
        and (kinds == {"FP64"} or (form.is_single and kinds == {None}) or _is_bare(schema, form))
        and is_table
        and not schema.params
        and len(schema.columns) in {0, form.width}
        and all(one.required for one in schema.columns)
        and form.facts["names"] in (None, names)
    )


def _is_bare(schema: Schema, form: Form) -> bool:
    """Tell whether only the number of columns is known, and whole numbers are as others to the form."""
    is_known = bool(schema.columns or schema.tensors)
    return not is_known and (form.is_single or not form.integers_are_single)


class _Way:
    """The short way of one model."""

    def __init__(self, model: Model, backend: CompiledBackend, form: Form, names: list[str] | None) -> None:
        self._model = model
        self._form = form
        self._names = names
        self._width = form.width
        self._columns = form.columns
        self._rounded = _NUMERIC[form.datatype]
        self._most = min(backend.rows_at_once, model.settings.row_limit)

    def answer(self, request: Request) -> bytes | None:
        headers = request.headers
        if (
            self._model.on_prediction is not None
            or headers.get(b"content-type") != _JSON
            or headers.get(b"accept", _JSON) not in _ANY
            or b"content-encoding" in headers
            or len(request.body) > LARGE_BYTES
        ):
            return None
        began = perf_counter()
        try:
            flat = self._flat(_decode(request.body))
            if flat is None or not -_EXACT < min(flat) <= max(flat) < _EXACT:
                return None
            values = self._form.numbers(flat)
        except (ValueError, KeyError, RecursionError):  # msgspec's errors and the form's refusals among them
            return None
        metrics = self._model.metrics
        metrics.queue_s.observe(0.0)
        metrics.model_s.observe(perf_counter() - began)
        return b'{"predictions":' + self._print(values) + b"}"

    def _flat(self, body: _Body) -> Sequence[float] | None:
        """Return the cells row by row, None where the body is anything but one table of the right width."""
        data = self._rows(body)
        if data is None:
            return None
        if len(data) == 1:
            return data[0] if len(data[0]) == self._width else None
        if len(data) > self._most or set(map(len, data)) != {self._width}:
            return None
        return list(chain.from_iterable(data))

    def _rows(self, body: _Body) -> _Rows | None:
        """Return the one table that is given, its columns in the model's order."""
        split, records, names = body.dataframe_split, body.dataframe_records, self._names
        if (body.instances, body.inputs, split, records).count(None) != 3:
            return None
        if split is not None:
            return split.data if split.columns == names else None
        if records is not None:
            is_whole = names is not None and set(map(len, records)) == {self._width}
            return [[record[name] for name in names or ()] for record in records] if is_whole else None
        return body.instances if body.inputs is None else body.inputs

    def _print(self, values: list[Any]) -> bytes:
        """Print the answer as `render.predictions` does."""
        if self._rounded is not None:
            values = array(self._rounded, values).tolist()
        if self._columns is not None:
            size = self._columns
            values = [values[start : start + size] for start in range(0, len(values), size)]
        return _encode(values)
