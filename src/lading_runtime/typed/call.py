"""A function of one's own in; how requests become its arguments, and what describes them, out."""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lading_runtime.typed import forms, libraries, limits, nested, tensors
from lading_runtime.typed.forms import Found
from lading_runtime.typed.hints import Hints, qualified, resolved
from lading_runtime.typed.nested import Member
from lading_runtime.typed.plain import Anything, Kind, Words
from lading_runtime.typed.reading import Reading
from lading_runtime.typed.tensors import Given
from lading_runtime.worker import results

HEADERS = "request_headers"
_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
_COGS_STREAMS = {f"cog.types.{name}" for name in ("ConcatenateIterator", "AsyncConcatenateIterator")}
_FORM_TYPES = ["multipart/form-data", "application/x-www-form-urlencoded"]


class Arguments(NamedTuple):
    """What a request comes to: one call, or one for each row."""

    calls: Sequence[Mapping[str, Any]]
    is_rows: bool = False
    is_table: bool = False
    """Whether the one call is for all rows of a table."""


class Call:
    """A function with type hints."""

    def __init__(self, function: Callable[..., Any], *, batch: bool | None = None) -> None:
        """Read its hints; raise TypeError for what no request can give. `batch` is what its author says."""
        hints = Hints()
        types = resolved(function)
        self.members: list[Member] = []
        self.takes_more = False
        for one in inspect.signature(function).parameters.values():
            if one.kind is one.VAR_KEYWORD:
                self.takes_more = True
            elif one.kind != one.VAR_POSITIONAL and one.name != HEADERS:
                self.members.append(_member(one, hints, types.get(one.name, Any)))
            elif one.kind == one.VAR_POSITIONAL and len(inspect.signature(function).parameters) == 1:
                raise TypeError(f"{function.__name__} has a parameter {str(one)!r}, expected ones with names")
        self._names = [one.name for one in self.members]
        self._required = [one for one in self.members if one.required]
        self._main = self._required[0] if self._required else self.members[0] if self.members else None
        self._defaults = {one.name: one.default for one in self.members if not one.required}
        self._obliged = {one.name for one in self._required}
        self._is_lone = len(self.members) == 1 or len(self._required) == 1
        returned, is_stream = _returned(types.get("return", inspect.Signature.empty))
        self.gives_rows = qualified(typing.get_origin(returned) or returned) in _SEQUENCES
        self.is_said = bool(batch)
        self.batch = self._takes_batch(returned) if batch is None else batch
        self.schema = self._describe(hints, function, returned, is_stream=is_stream)

    def _takes_batch(self, returned: Any) -> bool:
        """Tell whether it is given all rows at once: a table; or a list, of records or answered by one."""
        if not self._is_lone or self._main is None or _is_scalar(returned):
            return False
        kind = self._main.kind
        if isinstance(kind, (libraries.Array, libraries.Frame)):
            return True
        return isinstance(kind, nested.Many) and (kind.item.is_record or self.gives_rows)

    def _describe(
        self, hints: Hints, function: Callable[..., Any], returned: Any, *, is_stream: bool
    ) -> dict[str, Any]:
        document: dict[str, Any] = nested.schema_of(self.members, results.plain_json)
        if self.takes_more:
            document["additionalProperties"] = True
        described: dict[str, Any] = {"input": document, "output": dict(_kind(hints, returned).schema)}
        for one in described.values():
            if hints.definitions and one:
                one["$defs"] = hints.definitions
        text = inspect.getdoc(function)
        if text:
            described["description"] = text.split("\n\n")[0].replace("\n", " ")
        files = [one.kind for one in self.members if "file" in one.kind.takes and one.kind.schema]
        media = ["application/json", *_FORM_TYPES]
        if files:
            only_pictures = all("contentMediaType" in kind.schema for kind in files)
            media.append("image/*" if only_pictures else "*/*")
        elif any(isinstance(one.kind, Words) for one in self.members):
            media.append("text/plain")
        described.update(stream=is_stream, media=media, batch=self.batch, parameters=self._names)
        described["tensors"] = tensors.describe(self.members)
        described["outputs"] = (
            [] if is_stream else tensors.describe_answer(_kind(hints, returned), self.members)
        )
        given = _media_of(returned)
        if given:
            described["output_media"] = given
        return described

    def arguments(  # noqa: PLR0911 - a line per form
        self, document: Any, reading: Reading
    ) -> Arguments:
        """Read a JSON body; the problems are in `reading`."""
        if reading.beside:
            document = self._wrapped(document, reading)
        found = forms.find(document, self._names, reading)
        if found is None:
            if isinstance(document, list) and self.members and not self._is_body("list"):
                return self.rows(Found({}, rows=document), reading)
            if not isinstance(document, dict) and not self._is_lone:
                reading.fail("", document, f"a JSON object of {', '.join(self._names) or 'nothing'}")
                return Arguments([])
            return Arguments([self._one(self._named(document), "", reading)])
        if reading.problems:
            return Arguments([])
        if found.tensors is not None:
            return self.tensors(found.tensors, found.params, reading)
        if found.rows is not None:
            return self.rows(found, reading)
        table = forms.columns_of(found.value)
        if table is not None and self._has_columns(found.value):
            names, rows = table
            return self.rows(Found(found.params, rows=rows, columns=names), reading)
        named = {**found.params, **self._named(found.value)}
        return Arguments([self._one(named, "", reading)])

    def rows(self, found: Found, reading: Reading) -> Arguments:
        """Read the rows of a table: all for one call, or each for one of its own."""
        if self.batch:
            one = self._one({**found.params, **self._all(found)}, "", reading)
            return Arguments([one], is_table=isinstance(self._main and self._main.kind, nested.Many))
        calls = [
            self._one({**found.params, **self._row(item)}, f"rows[{index}]", reading)
            for index, item in enumerate(found.items())
        ]
        return Arguments(calls, is_rows=True)

    def tensors(self, given: Sequence[Given], params: Mapping[str, Any], reading: Reading) -> Arguments:
        """Read tensors that are called as the parameters are; others are columns of rows."""
        names = [one.name for one in given]
        for name in sorted({name for name in names if names.count(name) > 1}):
            reading.note("inputs", f"got {name!r} twice"[:200])
        is_made_up = len(given) == 1 and self._is_lone and names[0] not in self._names
        if is_made_up and self._main and not tensors.is_column(self._main.kind, given[0]):
            names = [self._main.name]  # its sender may have made up the other
            given = [given[0]._replace(name=names[0])]
        if reading.problems:
            return Arguments([])
        if set(names) <= set(self._names):
            calls, is_rows = tensors.arguments(self.members, given, reading)
            places = [f"rows[{index}]" if is_rows else "" for index in range(len(calls))]
            read = [
                self._one({**params, **one}, at if len(calls) > 1 else "", reading)
                for at, one in zip(places, calls)  # noqa: B905 - one each
            ]
            is_list = isinstance(self._main and self._main.kind, nested.Many)
            return Arguments(read, is_rows=is_rows, is_table=self.batch and is_list and not is_rows)
        if len({one.shape[0] if one.shape else -1 for one in given}) > 1:
            reading.note("inputs", "got tensors of different first dimensions, expected one per row")
            return Arguments([])
        rows = [list(row) for row in zip(*map(tensors.folded, given))]  # noqa: B905 - measured
        return self.rows(Found(params, rows=rows, columns=names), reading)

    def named(self, values: Mapping[str, Any], reading: Reading) -> Arguments:
        """Read values that are named already: a form's fields, or tensors."""
        return Arguments([self._one(values, "", reading)])

    def file(self, upload: Any, others: Mapping[str, Any], reading: Reading) -> Arguments:
        """Give a whole body to the one parameter that can be a file."""
        fits = [one for one in self.members if "file" in one.kind.takes]
        if upload.content_type.startswith("text/"):
            fits = fits or [one for one in self.members if isinstance(one.kind, Words)]
        fits = [one for one in fits if one.required] or fits
        if not fits:
            reading.fail("", upload, f"a JSON object of {', '.join(self._names) or 'nothing'}")
            return Arguments([])
        return Arguments([self._one({**others, fits[0].name: upload}, "", reading)])

    def expected(self, arguments: Arguments) -> int | None:
        """Return how many rows an answer has to have; None where neither its author nor a table says."""
        if not (self.batch and self._main and (self.is_said or arguments.is_table)):
            return None
        value: Any = arguments.calls[0].get(self._main.name)
        return len(value) if hasattr(value, "__len__") and getattr(value, "shape", True) else None

    def _wrapped(self, document: Any, reading: Reading) -> Any:
        """Name a body that is the value of the one parameter which nothing beside it gives."""
        left = [one for one in self._required if one.name not in reading.beside]
        if self._is_lone or len(left) != 1:
            return document
        if isinstance(document, dict):
            is_named = bool(document.keys() & set(self._names)) or "object" not in left[0].kind.takes
            return document if is_named or forms.has(document) else {left[0].name: document}
        is_rows = isinstance(document, list) and "list" not in left[0].kind.takes
        return document if is_rows else {left[0].name: document}

    def _one(self, values: Mapping[str, Any], at: str, reading: Reading) -> dict[str, Any]:
        """Read the arguments of one call; defaults are given too, for a decorator may count on them."""
        if reading.beside:
            values = {**self._beside(reading), **values}
        if not self.takes_more:
            return {**self._defaults, **nested.members(self.members, values, at, reading)}
        own = {name: one for name, one in values.items() if name in self._names}
        return {**self._defaults, **values, **nested.members(self.members, own, at, reading)}

    def _beside(self, reading: Reading) -> dict[str, Any]:
        """Return what the request's target gives: others' names in it are a proxy's, or `**more`."""
        given = reading.beside.items()
        more = {name: Anything().read(one, name, reading) for name, one in given if self.takes_more}
        return {**more, **{name: one for name, one in given if name in self._names}}

    def _named(self, value: Any) -> Mapping[str, Any]:
        """Name what a body or a row holds: parameters, or the value of the one that counts.

        Where its name is nowhere, what is called as another parameter is that one's, and the rest is its own.
        """
        if self._main is None:
            return value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            return {self._main.name: value}
        if value.keys() == {"b64"} and self._is_lone and "file" in self._main.kind.takes:
            return value if "b64" in self._names else {self._main.name: value}  # TensorFlow Serving's bytes
        if self._main.name in value or not self._is_body("object") or value.keys() & self._obliged:
            return value
        others = {name: one for name, one in value.items() if name in self._names}
        if value and len(others) == len(value):
            return value
        rest = {name: one for name, one in value.items() if name not in others}
        return {**others, self._main.name: rest}

    def _is_body(self, form: str) -> bool:
        return self._is_lone and self._main is not None and form in self._main.kind.takes

    def _has_columns(self, value: Mapping[str, Any]) -> bool:
        """Tell whether lists by name are a table's columns, and not what the parameters take."""
        if self.batch:
            return True
        return not any(
            "list" in one.kind.takes and one.kind.schema for one in self.members if one.name in value
        )

    def _row(self, item: Any) -> Mapping[str, Any]:
        """Name the values of a row: by itself, by place, or as the one parameter's."""
        if isinstance(item, list) and not self._is_body("list") and len(item) <= len(self._names):
            return dict(zip(self._names, item))  # noqa: B905 - as many as there are
        return self._named(item)

    def _all(self, found: Found) -> Mapping[str, Any]:
        """Name the values of all rows: the one parameter's, or a list for each of several."""
        assert self._main is not None
        if len(self._required) > 1:
            items = [self._row(item) for item in found.items()]
            return {name: [item.get(name) for item in items] for item in items[:1] for name in item}
        kind: Kind = self._main.kind
        if isinstance(kind, libraries.Frame):
            rows: Any = list(found.rows or ())
            return {self._main.name: libraries.table(found.columns, rows) if found.columns else rows}
        if isinstance(kind, libraries.Array):
            return {
                self._main.name: [list(r.values()) if isinstance(r, dict) else r for r in found.rows or ()]
            }
        return {self._main.name: found.items()}


def _member(parameter: inspect.Parameter, hints: Hints, hint: Any) -> Member:
    """Read a parameter: its kind, and its default, which may be Cog's `Input(…)` or its like."""
    kind, default = hints.kind(hint), parameter.default
    if default is parameter.empty:
        return Member(parameter.name, kind, required=True)
    said = limits.read(kind, default, takes_null={"type": "null"} in kind.schema.get("anyOf", ()))
    if said is None:
        return Member(parameter.name, kind, required=False, default=default)
    return Member(parameter.name, kind, said.required, said.default, said.description, said.limits)


_SEQUENCES = {
    *("builtins.list", "builtins.tuple", "numpy.ndarray", "collections.abc.Sequence"),
    *("pandas.core.frame.DataFrame", "pandas.core.series.Series", "pandas.DataFrame", "pandas.Series"),
}


def by_name(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that may be called with names alone."""
    parameters = inspect.signature(function).parameters.values()
    places = [one.name for one in parameters if one.kind == one.POSITIONAL_ONLY]
    if not places:
        return function

    def called(**given: Any) -> Any:
        return function(*[given.pop(name) for name in places], **given)

    return called


def _is_scalar(returned: Any) -> bool:
    return returned in {int, float, str, bool} if isinstance(returned, type) else False


def _returned(hint: Any) -> tuple[Any, bool]:
    """Return what a function gives, or each time gives, and whether it gives several times."""
    origin = typing.get_origin(hint) or hint
    is_cogs = qualified(origin) in _COGS_STREAMS
    if is_cogs or (origin in _STREAMS if isinstance(origin, type) else False):
        arguments = typing.get_args(hint)
        return (arguments[0] if arguments else inspect.Signature.empty), True
    return hint, False


def _kind(hints: Hints, returned: Any) -> Kind:
    """Return what is known of what is returned."""
    if returned is inspect.Signature.empty:
        return Anything()
    try:
        return hints.kind(returned)
    except TypeError:
        return Anything()


def _media_of(returned: Any) -> str | None:
    """Return the media type of an answer that is no JSON: a picture, bytes or a file."""
    name = qualified(typing.get_origin(returned) or returned)
    if name in {"typing.BinaryIO", "typing.IO", "io.BytesIO", "_io.BytesIO"}:
        return "application/octet-stream"
    if not isinstance(returned, type):
        return None
    if any(qualified(one) == "PIL.Image.Image" for one in returned.__mro__):
        return "image/png"
    names = {qualified(one) for one in returned.__mro__}
    is_file = returned in {bytes, bytearray} or bool(names & {"pathlib.Path", "pathlib._local.Path"})
    return "application/octet-stream" if is_file else None
