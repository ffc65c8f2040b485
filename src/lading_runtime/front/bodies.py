"""A request's body of any media type in, one internal request out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lading_runtime import wire
from lading_runtime.front import encode, forms, inputs, media, npy, render, routine_schema, routines
from lading_runtime.front.apart import apart
from lading_runtime.front.channel import Answer
from lading_runtime.front.decode import check_json, is_json, media_type, parse_csv, parse_json
from lading_runtime.front.encode import Input
from lading_runtime.front.messages import Refusal, Request
from lading_runtime.front.model import Model
from lading_runtime.front.tensors import Tensor


async def read(model: Model, request: Request, *, else_json: bool = False, lists: bool = False) -> Input:
    """Read a body by its media type; a routine is given JSON as it is.

    `else_json`: a media type that is not known is taken for JSON, as servers do that never look at it.
    `lists`: a bare JSON list is rows.
    """
    if is_parquet(model, request):
        return _with_query(model, request, await _parquet(model, request.body))
    work = partial(parsed, model, request, else_json=else_json, lists=lists)
    return await apart(model, weight(request), work)


def weight(request: Request) -> int:
    """Return how many bytes there are to read; an archive may hold many times its own."""
    is_archive = request.headers.get(b"content-type", b"").startswith(_ARCHIVE)
    return len(request.body) * (_MOST_INFLATED if is_archive else 1)


def is_parquet(model: Model, request: Request) -> bool:
    """Tell whether a body is a table that the worker reads."""
    kind = media_type(request.headers)[0]
    return kind == _PARQUET and (model.routine is None or _is_table(model.routine, kind))


def parsed(model: Model, request: Request, *, else_json: bool = False, lists: bool = False) -> Input:
    """Read a body of any media type but Parquet."""
    kind = media_type(request.headers)[0]
    if model.routine is not None and model.routine.is_raw:
        return routines.read(model.routine, request, kind)
    if kind in _FILES and (model.routine is None or _is_table(model.routine, kind)):
        return _with_query(model, request, _FILES[kind](model, request.body))
    return _of_text(model, request, else_json=else_json, lists=lists)


def _of_text(model: Model, request: Request, *, else_json: bool, lists: bool) -> Input:
    kind, parameters = media_type(request.headers)
    if kind in _LINES and (model.routine is None or not model.routine.accepts(kind)):
        return of_json(model, of_lines(request.body), lists=True)
    if model.routine is not None and not _is_table(model.routine, kind):
        wanted = _of_table(model, request.body, lists=lists) if is_json(kind) else None
        if wanted is not None and request.query:
            query = routines.own_query(model.routine, request.query)
            wanted = wanted._replace(params={wire.QUERY: query}) if query else wanted
        return wanted or routines.read(model.routine, request, kind, else_json=else_json)
    if is_json(kind):
        return of_json(model, request.body, lists=lists)
    if kind == "text/csv":
        texts = routine_schema.texts(model.backend.facts) if model.routine is not None else ()
        names, rows = parse_csv(request.body, model.schema, parameters.get("header"), texts)
        return _with_query(model, request, encode.rows(model.schema, names, rows))
    if else_json:
        return of_json(model, request.body, lists=lists)
    expected = ", ".join(map(repr, ("application/json", "text/csv", media.LINES, *_FILES, _PARQUET)))
    raise Refusal(415, f"got content-type {kind!r}, expected one of {expected}")


def _with_query(model: Model, request: Request, wanted: Input) -> Input:
    """Give a model its parameters' defaults, and a routine what a table leaves to the request's target."""
    if model.routine is None:
        return forms.with_params(model.schema, wanted, {})
    if not request.query:
        return wanted
    return wanted._replace(params={wire.QUERY: request.query.decode("latin-1")})


def _is_table(routine: routines.Routine, kind: str) -> bool:
    """Tell whether a body is a table for a routine's parameters, and not a file for one of them."""
    if kind not in {"text/csv", _PARQUET} and kind not in _FILES:
        return False
    return routine.takes_table or (routine.is_typed and not routine.accepts(kind))


def of_json(model: Model, body: bytes, *, lists: bool = False) -> Input:
    """Read a JSON text."""
    if model.routine is not None:
        return _of_table(model, body, lists=lists) or routines.of_json(body)
    return of_document(model, parse_json(body), lists=lists)


def of_lines(body: bytes) -> bytes:
    """Make a JSON list of JSON lines."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise Refusal(400, "got no lines, expected JSON on each")
    for number, line in enumerate(lines):
        try:
            check_json(line)
        except Refusal as refusal:
            raise Refusal(400, f"line {number + 1}: {refusal.message}") from None
    return b"[" + b",".join(lines) + b"]"


def _npy(model: Model, body: bytes) -> Input:
    return inputs.single(model.schema, npy.read(body))


def _npz(model: Model, body: bytes) -> Input:
    return inputs.read(model.schema, npy.read_all(body, model.settings.body_limit_bytes))


async def _parquet(model: Model, body: bytes) -> Input:
    """Have the worker read a Parquet file.

    Where there are types to cast to, its columns are handed back and cast here, as those of any other table.
    """
    about = {"rows": model.settings.row_limit}
    tensors = [(wire.tensor("body", "UINT8", [], body, about), body)]
    if _keeps_types(model):
        return Input(encode.FILE, tensors, columns=[one.name for one in model.schema.columns] or None)
    asked = Input("parquet", tensors)
    answer = await model.read_file(asked)
    return await apart(model, len(answer.body), partial(_of_frame, model, answer))


def _of_frame(model: Model, answer: Answer) -> Input:
    columns = {}
    for entry, data in wire.split(answer.header["outputs"], answer.body):
        is_nested = entry["datatype"] == wire.JSON
        columns[entry["name"]] = (
            render.decode(data) if is_nested else Tensor(entry["name"], entry["datatype"], (), data).numbers()
        )
    return encode.mapping(model.schema, columns)


def _keeps_types(model: Model) -> bool:
    """Tell whether a table goes to the model with the types of its file: no signature names others."""
    facts = model.backend.facts
    if model.routine is not None:
        return bool(facts.get("frame"))
    schema = model.schema
    is_open = all(one.kind is None and one.required for one in schema.columns)
    return bool(facts.get("pandas")) and is_open and not schema.tensors and not schema.params


_LINES = {media.LINES, *media.SAME}
_OPEN = frozenset({"pyfunc", "python_model", "module"})
"""Loaders of models that take any type there is, where no signature names one."""
_FILES: Mapping[str, Callable[[Model, bytes], Input]] = {media.NPY: _npy, media.NPZ: _npz}
_PARQUET = "application/vnd.apache.parquet"
_ARCHIVE = media.NPZ.encode()
# as deflate has it
_MOST_INFLATED = 1032


def _of_table(model: Model, body: bytes, *, lists: bool) -> Input | None:
    """Read a table for a routine that takes one, so that requests can be merged; else None."""
    if model.takes_json:
        return None
    document = parse_json(body)
    is_table = isinstance(document, dict) and len(document) == 1 and document.keys() <= set(forms.KEYS)
    if is_table or (lists and isinstance(document, list)):
        return of_document(model, document, lists=lists)
    return None


def of_document(model: Model, document: Any, *, lists: bool = False) -> Input:
    """Read a JSON value, for a model that takes tables."""
    if lists and isinstance(document, list):
        document = {"data": document}
    is_open = model.bill.model["loader"] in _OPEN and not model.schema.columns and not model.schema.tensors
    return forms.read(model.schema, document, lenient=model.settings.lenient, is_open=is_open)
