"""A routine's function and a request in, what it returns out: a value, or a generator of values.

Temporary files of a request are removed when its answer is complete, whether or not it went well.
"""

# JSON values and a user's own objects may be of any type
# ruff: noqa: ANN401

from __future__ import annotations

import inspect
import itertools
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from lading_runtime import wire
from lading_runtime.azureml.values import HeaderDict
from lading_runtime.typed.call import HEADERS, Arguments, Call, by_name
from lading_runtime.typed.forms import OF_REQUEST, Found
from lading_runtime.typed.libraries import Array, Frame
from lading_runtime.typed.nested import Many
from lading_runtime.typed.reading import Reading, Text, Upload
from lading_runtime.typed.tensors import BYTES, Given
from lading_runtime.worker import inputs, results


class Runner:
    """A function, and the event loop that it and what loads its model run in, if they are async."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Look at what it is; no loop is made before one is needed."""
        self.function = function
        self.is_stream = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self.is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        self.takes_headers = HEADERS in inspect.signature(function).parameters
        self.loop: Any = None

    def finish(self, result: Any) -> None:
        """Wait for what an async `load` returned."""
        if inspect.isawaitable(result):
            self.own_loop().run_until_complete(result)

    def own_loop(self) -> Any:
        """Return the one loop of this process."""
        if self.loop is None:
            import asyncio

            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
        return self.loop


class Routine:
    """A function of one's own."""

    facts: Mapping[str, Any]

    def __init__(self, runner: Runner) -> None:
        """Take the function."""
        self.runner = runner
        self.is_async = runner.is_async

    def begin(self, request: inputs.Request) -> Any:
        """Return a value, a generator, or for an async function what is to be awaited."""
        raise NotImplementedError

    def predict(self, request: inputs.Request) -> Any:
        """Answer one request: of a generator with the list of what it gives."""
        result = self.begin(request)
        if isinstance(result, AsyncGeneratorType):
            result = _gather(result)
        if inspect.iscoroutine(result):
            return self.runner.own_loop().run_until_complete(result)
        return list(result) if isinstance(result, GeneratorType) else result

    def _facts(self, schema: Mapping[str, Any], **more: Any) -> Mapping[str, Any]:
        schema = {**schema, "stream": bool(schema.get("stream") or self.runner.is_stream)}
        own = {"names": None, "width": None, "async": self.is_async, "headers": self.runner.takes_headers}
        return {**own, "schema": schema, **more}

    def _more(self, request: inputs.Request) -> dict[str, Any]:
        return {HEADERS: HeaderDict(request.about.get("headers") or {})} if self.runner.takes_headers else {}


class Plain(Routine):
    """A function that is given the whole body."""

    def __init__(self, runner: Runner, style: str) -> None:
        """Call it with `json`, `text` or `bytes`."""
        super().__init__(runner)
        self._style = style
        media = {"json": ["application/json"], "text": ["*/*"], "bytes": ["*/*"]}
        self.facts = self._facts({"input": {}, "output": {}, "media": media[style]})

    def begin(self, request: inputs.Request) -> Any:
        """Answer one request; the parsed body is checked here, all the rest is the routine's own affair."""
        function, more = self.runner.function, self._more(request)
        if self._style == "json":
            return raw(function(request.json(), **more), request)
        if request.content not in {"json", "media"}:
            raise inputs.RefusedError("this routine takes a whole body, as JSON or text")
        data: Any = request.text()
        if self._style == "text":
            try:
                data = data.decode()
            except UnicodeDecodeError as error:
                raise inputs.RefusedError(f"Input cannot be decoded as UTF-8: {error}") from error
        result = _reading(data, function, more)
        return raw(result, request)


def _reading(data: Any, function: Callable[..., Any], more: Mapping[str, Any]) -> Any:
    """Call a routine with a whole body; where that is not the JSON which it reads, the client is to blame."""

    async def later(result: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await result
        except json.JSONDecodeError as error:
            _blame(error, data)
            raise

    try:
        result = function(data, **more)
    except json.JSONDecodeError as error:
        _blame(error, data)
        raise
    return later(result) if inspect.iscoroutine(result) else result


def _blame(error: json.JSONDecodeError, data: Any) -> None:
    text = data if isinstance(data, str) else data.decode(errors="replace")
    if error.doc == text:
        raise inputs.RefusedError(f"the body is no JSON: {error}") from error


class Typed(Routine):
    """A function whose parameters are read by their hints."""

    def __init__(self, runner: Runner, call: Call) -> None:
        """Tell the front what it takes; a table it can read itself, and requests for one it may merge."""
        super().__init__(runner)
        self._call = call
        self._function = by_name(runner.function)
        main = call.members[0].kind if call.members else None
        is_table = call.batch and isinstance(main, (Array, Frame))
        is_table = is_table and sum(one.required for one in call.members) <= 1
        is_plain = not (runner.is_stream or runner.is_async or runner.takes_headers)
        is_list = isinstance(main, Many) and call.batch and main.is_list
        self.gives_rows = is_list and call.gives_rows
        batches = bool(is_plain and call.gives_rows and (is_table or is_list))
        is_frame = is_table and isinstance(main, Frame)
        self.facts = self._facts(call.schema, batches=batches, table=is_table, frame=is_frame)

    def begin(self, request: inputs.Request) -> Any:
        """Read the arguments, refusing with all that is wrong with them, and call the function."""
        reading = Reading()
        try:
            arguments = _checked(self._arguments(request, reading), reading)
            result = self._answer(arguments, self._more(request))
        except BaseException:
            reading.close()
            raise
        return _closing(raw(result, request), reading)

    def predict_many(self, requests: Sequence[inputs.Request]) -> Sequence[Any]:
        """Answer several requests for all rows by one call; ValueError: it gives no row for each."""
        if not isinstance(self._call.members[0].kind, Many):
            return [self.predict(one) for one in requests]
        readings = [Reading() for _ in requests]
        try:
            read = [
                _checked(self._arguments(one, reading), reading).calls[0]
                for one, reading in zip(requests, readings)  # noqa: B905 - one each
            ]
            found = self._merged(read)
            return [results.settled(one) for one in found] if any(r.has_files for r in readings) else found
        finally:
            for reading in readings:
                reading.close()

    def _merged(self, read: Sequence[Mapping[str, Any]]) -> Sequence[Any]:
        """Call the function once for several requests, where all but their rows is equal."""
        name = self._call.members[0].name
        others = [{key: value for key, value in one.items() if key != name} for one in read]
        if any(one != others[0] for one in others):
            return [results.unnamed(self._function(**one)) for one in read]
        counts = [len(one[name]) for one in read]
        found = self._function(**others[0], **{name: [item for one in read for item in one[name]]})
        found = results.unnamed(found)
        if len(found) != sum(counts):
            message = f"got {len(found)} rows, expected {sum(counts)}"
            raise ValueError(message)
        ends = list(itertools.accumulate(counts))
        return [found[end - count : end] for end, count in zip(ends, counts)]  # noqa: B905 - of one length

    def _answer(self, arguments: Arguments, more: Mapping[str, Any]) -> Any:
        function = self._function
        if not arguments.is_rows:
            result = function(**arguments.calls[0], **more)
            if self.facts["schema"]["stream"]:
                is_iterator = hasattr(type(result), "__next__") and not isinstance(result, GeneratorType)
                return _each(result) if is_iterator else result
            rows = self._call.expected(arguments)
            if inspect.iscoroutine(result):
                return _counted(result, rows)
            return results.check_rows(result, rows)
        if self.is_async:
            return _all_async([function(**one, **more) for one in arguments.calls])
        found = [function(**one, **more) for one in arguments.calls]
        return [list(one) if isinstance(one, GeneratorType) else one for one in found]

    def _arguments(self, request: inputs.Request, reading: Reading) -> Arguments:
        if request.content in {"json", "form"}:
            reading.beside = _query(request.about.get("query"))
        if request.content == "json":
            return self._call.arguments(request.json(), reading)
        if request.content == "form":
            return self._call.named(_fields(request), reading)
        if request.content == "media":
            about = request.about
            upload = Upload(request.text(), str(about.get("type") or ""), str(about.get("filename") or ""))
            return self._call.file(upload, _query(about.get("query")), reading)
        return self._of_tensors(request, reading)

    def _of_tensors(self, request: inputs.Request, reading: Reading) -> Arguments:
        """Read what the front has made a table of, or binary tensors."""
        members = self._call.members
        if request.content in {"tensors", "arguments"} and not self.facts["table"]:
            return self._call.tensors(
                [_given(*one) for one in request.tensors()], self._params(request), reading
            )
        if self._call.batch and isinstance(members[0].kind, Frame):
            return self._call.named({members[0].name: request.frame(), **self._params(request)}, reading)
        if self._call.batch and isinstance(members[0].kind, Array):
            return self._call.named({members[0].name: request.array(), **self._params(request)}, reading)
        if request.content == "tensors":
            return self._call.named({**request.arrays(), **self._params(request)}, reading)
        names, rows = request.table()
        return self._call.rows(Found(self._params(request), rows=rows, columns=names), reading)

    def _params(self, request: inputs.Request) -> dict[str, Any]:
        """Return the parameters beside a table; those of a query are text, whatever was meant."""
        names = [one.name for one in self._call.members]
        given = {k: one for k, one in request.params.items() if k in names or k not in OF_REQUEST}
        query = _query(given.pop(wire.QUERY, ""))
        return {**given, **query}


def _query(text: Any) -> dict[str, Any]:
    """Read the request's target: a name that is there several times has a list."""
    found: dict[str, Any] = {}
    for name, value in urllib.parse.parse_qsl(str(text or ""), keep_blank_values=True):
        _add(found, name, Text(value))
    return found


def _add(found: dict[str, Any], name: str, value: Any) -> None:
    if name in found:
        value = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
    found[name] = value


def _given(entry: Mapping[str, Any], values: Callable[[], Any], array: Callable[[], Any]) -> Given:
    if entry["datatype"] == wire.JSON:
        return Given(entry["name"], BYTES, entry["shape"], values)
    return Given(entry["name"], entry["datatype"], entry["shape"], values, array)


def _checked(arguments: Arguments, reading: Reading) -> Arguments:
    """Refuse what does not fit, with all that is wrong with it."""
    if reading.problems:
        raise inputs.RefusedError(reading.summary())
    return arguments


def _fields(request: inputs.Request) -> dict[str, Any]:
    """Read a form: a name that is there several times has a list."""
    found: dict[str, Any] = {}
    for about, data in request.parts():
        name = str(about["name"])
        is_file = "filename" in about or str(about.get("type") or "text/plain") != "text/plain"
        value: Any = (
            Upload(data, str(about.get("type") or ""), str(about.get("filename") or ""))
            if is_file
            else Text(data.decode(errors="replace"))
        )
        _add(found, name, value)
    return found


def raw(result: Any, request: inputs.Request) -> Any:
    """Hand on a picture, bytes or a file as they are where the front asks for that."""
    wanted = request.about.get("raw")
    return _raw_later(result, wanted) if inspect.iscoroutine(result) else _handed_on(result, wanted)


def _handed_on(result: Any, wanted: Any) -> Any:
    response = results.response(result)
    if response is not None:
        return response
    media = results.media(result, wanted) if wanted else None
    return results.unnamed(result) if media is None else results.Media(*media)


async def _raw_later(result: Coroutine[Any, Any, Any], wanted: Any) -> Any:
    return _handed_on(await result, wanted)


async def _counted(result: Coroutine[Any, Any, Any], rows: int | None) -> Any:
    return results.check_rows(await result, rows)


def _each(result: Iterator[Any]) -> Iterator[Any]:
    yield from result


async def _gather(pieces: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in pieces]


async def _all_async(calls: Sequence[Any]) -> list[Any]:
    """Answer rows side by side, each by a coroutine or an async generator."""
    import asyncio

    async def one(call: Any) -> Any:
        return await (_gather(call) if isinstance(call, AsyncGeneratorType) else call)

    return list(await asyncio.gather(*map(one, calls)))


def _closing(result: Any, reading: Reading) -> Any:
    """Remove a request's files when its answer is complete: at once, or when it has been awaited."""
    if isinstance(result, GeneratorType):
        return _closing_generator(result, reading)
    if isinstance(result, AsyncGeneratorType):
        return _closing_async(result, reading)
    if inspect.iscoroutine(result):
        return _closing_later(result, reading)
    if not reading.has_files:
        return result
    try:
        return results.settled(result)
    finally:
        reading.close()


def _settled(value: Any, reading: Reading) -> Any:
    """Encode a file that is returned before it goes: it may be one of the request's own."""
    return results.settled(value) if reading.has_files else value


def _closing_generator(result: Any, reading: Reading) -> Iterator[Any]:
    try:
        for piece in result:
            yield _settled(piece, reading)
    finally:
        result.close()
        reading.close()


async def _closing_async(result: Any, reading: Reading) -> AsyncIterator[Any]:
    try:
        async for piece in result:
            yield _settled(piece, reading)
    finally:
        await result.aclose()
        reading.close()


async def _closing_later(result: Coroutine[Any, Any, Any], reading: Reading) -> Any:
    try:
        return _settled(await result, reading)
    finally:
        reading.close()
