"""Routines with type hints, asked as the worker asks them, in this process."""

# hints are tried in every spelling that users have
# ruff: noqa: UP006, UP007, UP045

import asyncio
import base64
import dataclasses
import datetime as dt
import decimal
import enum
import io
import json
import os
import pathlib
import typing
import uuid
from typing import Annotated, Any, Literal, Optional, TypedDict

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, HttpUrl

from lading_runtime import wire
from lading_runtime.loaders import answering
from lading_runtime.loaders import pickle as pickle_loader
from lading_runtime.loaders.routine import _style
from lading_runtime.typed.call import Call
from lading_runtime.worker import inputs, results


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.5
    inner: Optional["Point"] = None


class Word(TypedDict):
    text: str


class Flower(BaseModel):
    sepal: float = Field(gt=0, description="in cm")
    name: str | None = None


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    bark: str = Field(min_length=1)


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]
Item = typing.TypeVar("Item")


@dataclasses.dataclass
class Box(typing.Generic[Item]):
    items: list[Item]


class Pair(typing.NamedTuple):
    left: int
    right: str = "r"


def load(function, batch=None):
    return answering.Typed(answering.Runner(function), Call(function, batch=batch))


def request(content, tensors):
    entries = [wire.tensor(name, kind, [len(data)], data, about) for name, kind, data, about in tensors]
    body = memoryview(bytearray(b"".join(data for _, _, data, _ in tensors)))
    return inputs.Request({"parameters": {"content": content}, "inputs": entries}, body)


def of_json(document, **about):
    return request("json", [("body", "JSON", json.dumps(document).encode(), about)])


def ask(function, document, batch=None, **about):
    """Return what a routine answers a JSON body, as JSON."""
    routine = load(function, batch)
    try:
        return results.plain_json(routine.predict(of_json(document, **about)))
    finally:
        # a loop left open is told of in whatever test runs when it is collected
        if routine.runner.loop is not None:
            routine.runner.loop.close()
            asyncio.set_event_loop(None)


def refusal(function, document):
    with pytest.raises(inputs.RefusedError) as caught:
        ask(function, document)
    return str(caught.value)


def takes(hint, default=...):
    """Make a routine of one parameter, which tells what it was given."""

    def routine(value):
        return [type(value).__name__, value]

    routine.__annotations__["value"] = hint
    if default is not ...:
        routine.__defaults__ = (default,)
    return routine


def b64(data):
    return base64.b64encode(data).decode()


def png(size=(3, 2)):
    stream = io.BytesIO()
    Image.new("RGB", size, (255, 0, 0)).save(stream, "PNG")
    return stream.getvalue()


IDENT = "12345678-1234-5678-1234-567812345678"


@pytest.mark.parametrize(
    ("hint", "given", "name", "value"),
    [
        (int, 3, "int", 3),
        (int, 3.0, "int", 3),
        (float, 3, "float", 3.0),
        (str, "é", "str", "é"),
        (bool, True, "bool", True),
        (None, None, "NoneType", None),
        (Any, {"a": [1]}, "dict", {"a": [1]}),
        (Optional[int], None, "NoneType", None),
        (Optional[int], 3, "int", 3),
        (typing.Union[int, str], "3", "str", "3"),
        (int | float, 2.5, "float", 2.5),
        (Literal["a", 3], 3, "int", 3),
        (Colour, "red", "Colour", "red"),
        (list[int], [1, 2], "list", [1, 2]),
        (typing.List[float], [1], "list", [1.0]),
        (set[int], [1, 1], "set", [1]),
        (tuple[int, str], [1, "a"], "tuple", [1, "a"]),
        (tuple[int, ...], [1, 2], "tuple", [1, 2]),
        (typing.Sequence[str], ["a"], "list", ["a"]),
        (dict[int, list[str]], {"1": ["a"]}, "dict", {"1": ["a"]}),
        (dict, {"a": 1}, "dict", {"a": 1}),
        (list, [1, "a"], "list", [1, "a"]),
        (Point, {"x": 1}, "Point", {"x": 1.0, "y": 0.5, "inner": None}),
        (
            Point,
            {"x": 1, "inner": {"x": 2}},
            "Point",
            {"x": 1, "y": 0.5, "inner": {"x": 2, "y": 0.5, "inner": None}},
        ),
        (Word, {"text": "a"}, "dict", {"text": "a"}),
        (Pair, {"left": 1}, "Pair", [1, "r"]),
        (Flower, {"sepal": 1}, "Flower", {"sepal": 1.0, "name": None}),
        (list[Flower], [{"sepal": 1}], "list", [{"sepal": 1.0, "name": None}]),
        (Annotated[int, Field(ge=1)], 2, "int", 2),
        (Annotated[int, "for people"], 2, "int", 2),
        (Pet, {"kind": "cat"}, "Cat", {"kind": "cat", "lives": 9}),
        (Box[int], {"items": [1]}, "Box", {"items": [1]}),
        (typing.Tuple, [1, "a"], "tuple", [1, "a"]),
        (HttpUrl, "http://a.b/", "HttpUrl", "http://a.b/"),
        (dt.datetime, "2026-01-02T03:04:05Z", "datetime", "2026-01-02T03:04:05+00:00"),
        (dt.date, "2026-01-02", "date", "2026-01-02"),
        (dt.timedelta, 1.5, "timedelta", 1.5),
        (decimal.Decimal, "0.25", "Decimal", 0.25),
        (uuid.UUID, IDENT, "UUID", IDENT),
        (bytes, b64(b"\x00\xff"), "bytes", b64(b"\x00\xff")),
        (bytes, "data:image/png;base64," + b64(b"a"), "bytes", b64(b"a")),
        (bytes, {"b64": b64(b"a")}, "bytes", b64(b"a")),
        (np.ndarray, [[1, 2]], "ndarray", [[1, 2]]),
        (np.ndarray, [1.5, None], "ndarray", [1.5, None]),
        (NDArray[np.float32], [1], "ndarray", [1.0]),
        (np.int64, 3, "int64", 3),
        (pd.DataFrame, [{"a": 1}], "DataFrame", [{"a": 1}]),
        (pd.DataFrame, {"a": [1, 2]}, "DataFrame", [{"a": 1}, {"a": 2}]),
        (pd.Series, [1, 2], "Series", [1, 2]),
        (Image.Image, b64(png()), "PngImageFile", b64(png())),
        (typing.BinaryIO, b64(b"a"), "BufferedReader", ...),
        (typing.TextIO, b64(b"a"), "StringIO", ...),
    ],
)
def test_a_hint_says_what_a_value_becomes(hint, given, name, value):
    routine = takes(hint)
    if value is ...:
        routine = lambda value: [type(value).__name__, value.read()]  # noqa: E731
        routine.__annotations__ = {"value": hint}
    got = ask(routine, {"value": given})
    assert got[0] == name
    assert value is ... or got[1] == value
    jsonschema.Draft202012Validator.check_schema(schema_of(routine))
    if not isinstance(given, dict) or "b64" not in given:
        jsonschema.validate({"value": given}, schema_of(routine))


def schema_of(routine):
    return load(routine).facts["schema"]["input"]


@pytest.mark.parametrize(
    ("hint", "given", "problem"),
    [
        (Box[int], {"items": ["a"]}, "value.items[0]: got 'a', expected a whole number"),
        (Cat | Dog, {"kind": "cat", "lives": "x"}, "value.lives: got 'x', expected a valid integer"),
        (int, "x", "value: got 'x', expected a whole number"),
        (int, 1.5, "value: got 1.5, expected a whole number"),
        (int, True, "value: got true, expected a whole number"),
        (float, "1", "value: got '1', expected a number"),
        (float, 2**53 + 1, "value: got 9007199254740993, expected a number that 64 bits hold"),
        (str, 1, "value: got 1, expected a text"),
        (bool, 1, "value: got 1, expected true or false"),
        (Optional[int], "x", "value: got 'x', expected a whole number or null"),
        (Literal["a", "b"], "c", "value: got 'c', expected one of 'a', 'b'"),
        (Literal[1], True, "value: got true, expected one of 1"),
        (Colour, "green", "value: got 'green', expected one of 'red', 'blue'"),
        (list[int], [1, "x"], "value[1]: got 'x', expected a whole number"),
        (list[int], 1, "value: got 1, expected a list, each a whole number"),
        (tuple[int, str], [1], "value: got [1], expected a list of 2"),
        (dict[int, int], {"a": 1}, "value.a (key): got 'a', expected a whole number"),
        (
            Point,
            {"x": "a", "z": 1},
            "value.z: unknown; expected x, y, inner; value.x: got 'a', expected a number",
        ),
        (Point, {"x": 1, "inner": {"x": "a"}}, "value.inner.x: got 'a', expected a number"),
        (Word, {}, "value.text: missing, expected a text"),
        (Flower, {"sepal": -1}, "value.sepal: got -1, expected greater than 0"),
        (Flower, {"name": 3}, "value.sepal: missing; value.name: got 3, expected a valid string"),
        (Annotated[int, Field(ge=1)], 0, "value: got 0, expected greater than or equal to 1"),
        (dt.datetime, "today", "value: got 'today', expected a time, such as '2026-01-02T03:04:05'"),
        (bytes, "é", "value: got 'é', expected base64, or a file"),
        (np.ndarray, [[1], [1, 2]], "value: expected nested lists of one length per level"),
        (NDArray[np.int64], [1.5], "value: the values do not fit int64"),
        (Image.Image, b64(b"no picture"), "value: got <10 bytes of unknown type>, expected a picture"),
        (Image.Image, b64(png((50, 50))[:-30]), "value: the picture cannot be read"),
        (Image.Image, "http://127.0.0.1/a.png", "value: got 'http://127.0.0.1/a.png', expected a picture"),
        (pathlib.Path, "/etc/passwd", "value: got '/etc/passwd', expected a file"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(hint, given, problem):
    assert refusal(takes(hint), {"value": given}).startswith(problem)


def several(a: int, b: str = "b", c: Point | None = None):
    """Take several.

    And more is said here.
    """
    return [a, b, c and c.x]


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"a": 1}, [1, "b", None]),
        ({"a": 1, "b": "x", "c": {"x": 2}}, [1, "x", 2]),
        ({"input": {"a": 1}}, [1, "b", None]),
        ({"instances": [{"a": 1}, {"a": 2, "b": "x"}]}, [[1, "b", None], [2, "x", None]]),
        ({"instances": [[1], [2, "x"]], "parameters": {"c": {"x": 3}}}, [[1, "b", 3], [2, "x", 3]]),
        ({"instances": [1, 2]}, [[1, "b", None], [2, "b", None]]),
        ({"dataframe_records": [{"a": 1}]}, [[1, "b", None]]),
        ({"dataframe_split": {"columns": ["b", "a"], "data": [["x", 1]]}}, [[1, "x", None]]),
        ({"inputs": {"a": [1, 2], "b": ["x", "y"]}}, [[1, "x", None], [2, "y", None]]),
        ({"inputs": {"a": 1}, "params": {"b": "z"}}, [1, "z", None]),
        ([{"a": 1}, [2, "x"]], [[1, "b", None], [2, "x", None]]),
        ({"input_data": {"columns": ["a"], "index": [0], "data": [[1]]}}, [[1, "b", None]]),
        (
            {"inputs": [{"name": "a", "shape": [2, 1], "datatype": "INT64", "data": [1, 2]}]},
            [[1, "b", None], [2, "b", None]],
        ),
    ],
)
def test_every_platforms_form_reaches_a_function_of_several_parameters(document, answer):
    assert ask(several, document) == answer


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (
            {"a": "x", "bb": 1, "c": {"x": "y"}},
            (
                "bb: unknown; did you mean 'b'?; a: got 'x', expected a whole number; "
                "c.x: got 'y', expected a number"
            ),
        ),
        ({}, "a: missing, expected a whole number"),
        ("x", "a: got 'x', expected a whole number"),
        ({"instances": [{"a": 1}, {"a": None}]}, "rows[1].a: got null, expected a whole number"),
        ({"instances": [{"a": 1}], "other": 1}, "instances: unknown"),
        (
            {"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}},
            "dataframe_split.data[0]: got [1, 2], expected a list of 1 cells",
        ),
        (
            {"inputs": [{"name": "a", "shape": [3], "datatype": "INT64", "data": [1, 2]}]},
            "tensor 'a': the data do not have the shape",
        ),
    ],
)
def test_all_that_is_wrong_is_told_at_once(document, problem):
    assert refusal(several, document).startswith(problem)


def test_the_schema_tells_parameters_defaults_and_the_first_paragraph():
    schema = load(several).facts["schema"]
    assert schema["description"] == "Take several."
    assert schema["input"]["required"] == ["a"]
    assert schema["input"]["properties"]["b"] == {"type": "string", "default": "b"}
    assert schema["input"]["$defs"]["Point"]["properties"]["x"] == {"type": "number"}
    assert (schema["stream"], schema["batch"]) == (False, False)
    flower = load(takes(Flower)).facts["schema"]
    assert flower["input"]["$defs"]["Flower"]["properties"]["sepal"]["description"] == "in cm"


def of_one(item: Flower, scale: float = 1.0) -> float:
    return item.sepal * scale


def of_many(items: list[Flower], scale: float = 1.0) -> list[float]:
    return [one.sepal * scale + 100 * len(items) for one in items]


def test_every_kind_of_parameter_is_filled_by_its_name():
    def places(a: int, b: int = 2, /, c: int = 3, *more: int, d: int = Field(4, ge=0, description="of d")):
        return [a, b, c, d]

    def wrapped(*args, **kwargs):
        return kwargs

    assert ask(places, {"a": 1}) == [1, 2, 3, 4]
    assert ask(places, {"a": 1, "b": 5, "d": 6}) == [1, 5, 3, 6]
    assert "d: got -1, expected a whole number >= 0" in refusal(places, {"a": 1, "d": -1})
    described = load(places).facts["schema"]["input"]
    assert described["required"] == ["a"]
    assert described["properties"]["d"]["default"] == 4
    assert described["properties"]["d"]["description"] == "of d"
    assert ask(wrapped, {"a": 1}) == {"a": 1}
    assert [_style(one, batch=None) for one in (lambda a: a, lambda *, a: a, lambda **a: a)] == [
        *("json", "typed", "typed")
    ]


def test_a_records_one_member_may_be_a_tensor_or_the_record_its_json():
    def far(point: Point) -> float:
        return point.x + point.y

    tensor = {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}
    assert ask(far, {"inputs": [tensor]}) == [1.5, 2.5]
    whole = {"name": "made-up", "shape": [1], "datatype": "BYTES", "data": ['{"x": 3}']}
    assert ask(far, {"inputs": [whole]}) == [3.5]


def test_one_of_several_models_may_be_the_whole_body():
    def kind(pet: Pet) -> str:
        return pet.kind

    assert ask(kind, {"kind": "dog", "bark": "w"}) == "dog"
    assert ask(kind, {"pet": {"kind": "cat"}}) == "cat"


def test_a_body_may_be_the_one_parameters_own_value():
    assert ask(of_one, {"sepal": 2}) == 2
    assert ask(of_one, {"item": {"sepal": 2}}) == 2
    assert ask(of_one, {"sepal": 2, "scale": 3}) == 6
    assert ask(of_many, [{"sepal": 2}]) == [102]
    assert ask(lambda text: text, {"text": 1}) == 1


def test_a_list_of_records_is_all_rows_and_a_record_is_one():
    body = {"instances": [{"sepal": 1}, {"sepal": 2}], "params": {"scale": 2}}
    assert ask(of_one, body) == [2, 4]
    assert ask(of_many, body) == [202, 204]
    assert ask(of_many, {"inputs": {"sepal": [1, 2]}}) == [201, 202]


def total(value: list[float]) -> float:
    return sum(value)


def lengths(texts: list[str]) -> list[int]:
    return [len(one) + 100 * len(texts) for one in texts]


def of_frame(frame: pd.DataFrame):
    return frame.sum(axis=1)


def of_array(array: np.ndarray, k: int = 1):
    return array.sum(axis=1) * k


def norm(array: np.ndarray) -> float:
    return float(array.sum())


def test_a_list_that_is_answered_by_one_number_is_a_row():
    assert ask(total, {"instances": [[1, 2], [3, 4]]}) == [3, 7]
    assert ask(total, {"value": [1, 2]}) == 3
    assert ask(lengths, {"instances": ["a", "bb"]}) == [201, 202]
    assert ask(norm, {"instances": [[1, 2], [3, 4]]}) == [3, 7]
    assert ask(of_array, {"instances": [[1, 2], [3, 4]], "params": {"k": 2}}) == [6, 14]
    assert ask(of_array, {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}) == [3]
    records = {"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]}}
    assert ask(of_frame, records) == [3, 7]
    assert ask(of_frame, {"dataframe_records": [{"a": 1, "b": 2}]}) == [3]


def test_an_author_may_say_whether_all_rows_come_at_once():
    def len_of(value):
        return len(value)

    def columns(a: list[int], b: list[int]):
        return [x + y + 100 * len(a) for x, y in zip(a, b, strict=True)]

    assert ask(columns, {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, batch=True) == [203, 207]
    assert ask(len_of, {"instances": ["a", "bb", "c"]}, batch=True) == 3
    assert ask(lengths, {"instances": [["a"], ["b", "c"]]}, batch=False) == [[101], [201, 201]]


def test_requests_for_all_rows_can_be_merged_and_are_kept_apart():
    routine = load(of_many)
    assert routine.facts["batches"] is True
    asked = [of_json({"instances": [{"sepal": 1}]}), of_json([{"sepal": 2}, {"sepal": 3}])]
    assert routine.predict_many(asked) == [[301], [302, 303]]
    with pytest.raises(inputs.RefusedError):
        routine.predict_many([asked[0], of_json([{"sepal": "x"}])])
    assert load(of_one).facts["batches"] is False


def test_an_array_or_a_frame_is_read_by_the_front():
    facts = load(of_array).facts
    assert (facts["table"], facts["batches"]) == (True, False)
    data = np.arange(4.0).tobytes()
    header = {"parameters": {"content": "array"}, "inputs": [wire.tensor("input-0", "FP64", [2, 2], data)]}
    asked = inputs.Request(header, memoryview(bytearray(data)))
    assert list(load(of_array).predict(asked)) == [1, 5]
    assert list(
        load(of_frame).predict(
            inputs.Request(
                {**header, "parameters": {"content": "frame", "columns": ["a", "b"]}},
                memoryview(bytearray(data)),
            )
        )
    ) == [1, 5]
    assert load(total).predict(asked) == [1, 5]


def form(*parts):
    return request("form", [(name, "UINT8", data, about) for name, data, about in parts])


def test_a_forms_fields_are_read_by_their_hints():
    def routine(a: int, c: list[str], d: Point, e: str, *, b: bool, f: int | None = 7):
        return [a, b, c, d.x, e, f]

    text = {"type": ""}
    asked = form(
        ("a", b"3", text),
        ("b", b"on", text),
        ("c", b"x", text),
        ("c", b"y", text),
        ("d", b'{"x": 1}', {"type": "application/json"}),
        ("e", b"5", text),
    )
    assert load(routine).predict(asked) == [3, True, ["x", "y"], 1.0, "5", 7]
    with pytest.raises(inputs.RefusedError, match="a: got 'x', expected a whole number"):
        load(several).predict(form(("a", b"x", text)))


def test_a_file_lies_in_tmp_until_the_answer_is_there():
    seen = []

    def routine(value: pathlib.Path, note: str = "") -> str:
        seen.append(value)
        return f"{value.read_text()} {value.suffix} {note}"

    upload = ("value", b"text", {"type": "text/csv", "filename": "../../etc/a b.csv"})
    assert load(routine).predict(form(upload, ("note", b"n", {"type": ""}))) == "text .csv n"
    assert ask(routine, {"value": b64(b"text")}) == "text  "
    whole = request("media", [("body", "UINT8", b"text", {"type": "text/csv", "query": "note=q"})])
    assert load(routine).predict(whole) == "text  q"
    with pytest.raises(inputs.RefusedError):
        load(routine).predict(form(upload, ("nose", b"n", {"type": ""})))
    assert not any(one.exists() for one in seen)


def test_a_file_that_fails_midway_is_removed_too():
    seen = []

    def routine(value: pathlib.Path):
        seen.append(value)
        yield value.exists()
        raise KeyError

    generator = load(routine).begin(of_json({"value": b64(b"a")}))
    assert next(generator) is True
    generator.close()
    assert not seen[0].exists()


def test_a_text_may_be_the_whole_body():
    def shout(text: str, mark: str = "!") -> str:
        return text.upper() + mark

    whole = request("media", [("body", "UINT8", "é".encode(), {"type": "text/plain"})])
    assert load(shout).predict(whole) == "É!"
    assert "text/plain" in load(shout).facts["schema"]["media"]


def test_a_picture_may_be_answered_as_it_is_or_in_base64():
    def turn(picture: Image.Image) -> Image.Image:
        return picture.rotate(90, expand=True)

    answer = load(turn).predict(of_json({"picture": b64(png())}, raw=True))
    assert answer.content_type == "image/png"
    assert Image.open(io.BytesIO(answer.data)).size == (2, 3)
    text = ask(turn, {"picture": b64(png())})
    assert Image.open(io.BytesIO(base64.b64decode(text))).size == (2, 3)
    assert load(turn).facts["schema"]["output_media"] == "image/png"
    assert "image/*" in load(turn).facts["schema"]["media"]


def test_bytes_as_tensorflow_serving_writes_them_are_the_one_picture_of_a_row():
    def size(picture: Image.Image, top: int = 3) -> list:
        return [*picture.size, top]

    sent = {"b64": b64(png((2, 5)))}
    assert ask(size, {"instances": [sent, {"picture": sent, "top": 4}]}) == [[2, 5, 3], [2, 5, 4]]
    assert ask(size, {"instances": [sent], "parameters": {"top": 1}}) == [[2, 5, 1]]


def test_a_series_without_a_name_is_a_list():
    def sums(frame: pd.DataFrame) -> pd.Series:
        return frame["a"] + frame["b"]

    async def later(frame: pd.DataFrame) -> pd.Series:
        return sums(frame)

    for one in (sums, later):
        routine = load(one)
        content, [(entry, _)] = results.encode(
            routine.predict(of_json({"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}))
        )
        assert (content, entry["datatype"], entry["shape"]) == ("array", "INT64", [2])
        if routine.runner.loop is not None:
            routine.runner.loop.close()
            asyncio.set_event_loop(None)


def test_a_bomb_of_a_picture_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for size in ((11, 11), (100, 100)):
        assert "too large" in refusal(takes(Image.Image), {"value": b64(png(size))})


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda *values: values, "expected ones with names"),
        (takes(typing.Callable[[], int]), "cannot be read from a request"),
        (takes(type(os.environ)), "cannot be read from a request"),
        (takes("Missing"), "a type hint names"),
    ],
)
def test_a_hint_that_no_request_can_fill_is_refused_when_the_routine_is_loaded(function, reason):
    with pytest.raises(TypeError, match=reason):
        load(function)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
KNOWN = [load(one) for one in (several, of_one, of_many, total, lengths, norm, of_array, takes(Point))]
KEYS = st.sampled_from(
    ["instances", "inputs", "dataframe_split", "input", "params", "a", "b", "value", "item"]
)


@given(VALUES | st.dictionaries(KEYS, VALUES, max_size=3))
def test_any_body_is_answered_or_refused(document):
    for routine in KNOWN:
        try:
            results.to_json(routine.predict(of_json(document)))
        except inputs.RefusedError:
            continue
        except (ValueError, TypeError, IndexError):
            # the function's own, about an empty array or one of text
            assert routine.runner.function in {norm, of_array}


def test_a_batch_that_comes_back_shorter_is_a_failure_that_names_both_counts():
    def first(texts: list[str]) -> list[int]:
        return [len(one) for one in texts][:1]

    async def later(texts: list[str]) -> list[int]:
        return [len(one) for one in texts][:1]

    def table(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.head(1)

    for routine, batch in ((first, None), (first, True), (later, None), (table, True)):
        asked = {"instances": [{"a": 1}] * 3 if routine is table else ["a", "b", "c"]}
        with pytest.raises(RuntimeError, match="1 rows for 3"):
            ask(routine, asked, batch)
    assert ask(first, {"texts": ["abc", "b"]}) == [3]
    assert ask(table, {"instances": [{"a": 1}] * 3}) == [{"a": 1}]


def test_an_estimator_that_omits_rows_is_a_failure():
    class Short:
        def predict(self, x):
            return np.asarray(x)[:1]

    data = np.zeros((3, 2))
    entry = wire.tensor("input-0", "FP64", [3, 2], data.tobytes())
    asked = inputs.Request(
        {"parameters": {"content": "array"}, "inputs": [entry]}, memoryview(bytearray(data.tobytes()))
    )
    with pytest.raises(RuntimeError, match="1 rows for 3"):
        pickle_loader.Estimator(Short(), "predict").predict(asked)
