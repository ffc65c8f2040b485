"""A signature read from type hints, of code that is never run."""

import textwrap

import pytest

from lading.core.errors import ModelError
from lading.core.signature import Field, Signature
from lading.signature import NOTATIONS, hints
from lading_runtime.typed.hints import Hints

HEAD = """
from __future__ import annotations
import datetime as dt, enum, typing as t
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import *
import numpy as np
from pydantic import BaseModel, Field
raise SystemExit("it was run")
"""


def read(tmp_path, text, entry="score.py:predict"):
    (tmp_path / "score.py").write_text(HEAD + textwrap.dedent(text))
    return hints.read(tmp_path, entry)


def told(found):
    return {str(one) for one in found.losses}


def test_parameters_are_columns(tmp_path):
    found = read(
        tmp_path,
        """
        def predict(size: float, count: int, name: "str" = "x", on: Optional[bool] = None,
                    at: dt.datetime = None, *, photo: Path, many: list[int] | None = None) -> list[float]: ...
        """,
    )
    assert found.value == Signature(
        (
            Field("double", "size"),
            Field("long", "count"),
            Field("string", "name", required=False),
            Field("boolean", "on", required=False),
            Field("datetime", "at", required=False),
            Field("binary", "photo"),
            Field("array", "many", required=False, nested={"items": {"type": "long"}}),
        ),
        (Field("double"),),
    )
    assert told(found) == {"inputs.name: its default 'x' is not kept"}


def test_records_are_objects(tmp_path):
    (tmp_path / "shapes.py").write_text(
        "from pydantic import BaseModel\nclass Point(BaseModel):\n  x: float\n  y: float = 0\n"
        "class Space(Point):\n  z: list['Point'] | None\n"
    )
    found = read(
        tmp_path,
        """
        from shapes import Space
        Names = Dict[str, int]
        Id = NewType("Id", int)
        class Colour(enum.Enum):
            RED = "red"
        @dataclass
        class Own:
            names: Names
            id: Id = 3
            colour: Colour = field(default=Colour.RED)
            total: ClassVar[int] = 4
        class Loose(TypedDict, total=False):
            a: Required[int]
            b: NotRequired[str]
            c: str
        def predict(space: Space, own: Own, loose: Loose) -> Own: ...
        """,
    )
    inputs = {one.name: one.nested["properties"] for one in found.value.inputs}
    point = {"x": {"type": "double", "required": True}, "y": {"type": "double", "required": False}}
    points = {"type": "array", "items": {"type": "object", "properties": point}, "required": False}
    assert inputs["space"] == {**point, "z": points}
    assert inputs["own"] == {
        "colour": {"type": "string", "required": False},
        "id": {"type": "long", "required": False},
        "names": {"type": "map", "values": {"type": "long"}, "required": True},
    }
    assert {name: one["required"] for name, one in inputs["loose"].items()} == {
        "a": True,
        "b": False,
        "c": False,
    }
    assert found.value.outputs == (Field("object", nested={"properties": inputs["own"]}),)
    assert "inputs.own.colour: 'red' alone is not held to" in told(found)


def test_what_no_type_of_mlflows_says_is_told(tmp_path):
    found = read(
        tmp_path,
        """
        import elsewhere
        @dataclass
        class Tree:
            left: "Tree"
        def predict(a, b: elsewhere.Thing, c: int | str, d: np.ndarray, e: Tree, f: tuple[int, str],
                    g: Literal[1, 2], h: Annotated[int, Field(ge=1)], *more, **rest): ...
        """,
    )
    assert [one.type for one in found.value.inputs] == [*["any"] * 4, "object", "array", "long", "long"]
    assert {one.where for one in found.losses} == {
        *(f"inputs.{name}" for name in ("a", "b", "c", "d", "f", "g", "h", "more", "rest")),
        "inputs.e.left",
    }
    assert "inputs.b: elsewhere.Thing tells no type of MLflow's: it may be any value" in told(found)


def test_of_mlflows_models_the_items_are_the_inputs(tmp_path):
    found = read(
        tmp_path,
        """
        class Row(BaseModel):
            size: float
            name: str | None = None
            more: int = 3
        class Model:
            def predict(self, context, model_input: list[Row], params=None) -> list[str]: ...
        """,
        "score.py:Model",
    )
    properties = {
        "more": {"type": "long", "required": True},
        "name": {"type": "string", "required": False},
        "size": {"type": "double", "required": True},
    }
    assert found.value == Signature((Field("object", nested={"properties": properties}),), (Field("string"),))


def test_a_script_with_init_and_run_has_its_hints(tmp_path):
    assert read(tmp_path, "def init(): ...\ndef run(size: float): ...", "score.py").value == Signature(
        (Field("double", "size"),)
    )


def test_a_class_in_a_class_is_read(tmp_path):
    text = """
from pydantic import BaseModel
class Order(BaseModel):
    class Item(BaseModel):
        price: float
    items: list[Item]
class Big(Order):
    first: Order.Item
def predict(order: Big, item: Order.Item): ...
"""
    item = {"type": "object", "properties": {"price": {"type": "double", "required": True}}}
    properties = {
        "first": {**item, "required": True},
        "items": {"type": "array", "items": item, "required": True},
    }
    found = read(tmp_path, text)
    assert found.value == Signature(
        (
            Field("object", "order", nested={"properties": properties}),
            Field("object", "item", nested={"properties": item["properties"]}),
        )
    )
    assert not found.losses


def test_keys_that_are_no_texts_are_told(tmp_path):
    (loss,) = read(tmp_path, "def predict(a: dict[int, str]): ...").losses
    assert str(loss) == "inputs.a.*: its keys are texts, and not int"


@pytest.mark.parametrize(
    ("text", "entry", "expected"),
    [
        ("x = 1", "score.py:x", "'x' is no function"),
        ("def predict(:", "score.py:predict", r"score.py:\d+: no Python"),
        ("", "other.py:predict", "cannot be read"),
    ],
)
def test_what_is_no_routine_is_told(text, entry, expected, tmp_path):
    with pytest.raises(ModelError, match=expected):
        read(tmp_path, text, entry)


@pytest.mark.parametrize(
    "hint",
    ["int", "float", "bool", "str", "bytes", "list[int]", "dict[str, float]", "list[dict[str, str]]", "Any"],
)
def test_a_hint_is_the_type_that_the_worker_takes(hint, tmp_path):
    found = read(tmp_path, f"def predict(a: {hint}): ...").value
    ours = NOTATIONS["json-schema"].write(found).value["properties"]["inputs"]["properties"]["a"]
    theirs = Hints().kind(eval(hint, {"Any": __import__("typing").Any})).schema
    assert shape(ours) == shape(theirs)


def shape(schema):
    """Return the types of a schema, null aside: a column takes NaN as null, a parameter does not."""
    kinds = schema.get("type", [])
    inner = [schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]
    return [one for one in ([kinds] if isinstance(kinds, str) else kinds) if one != "null"], list(
        map(shape, inner)
    )
