"""What a pickle may name of the author's own modules: classes and functions that stand in them, no more."""

from __future__ import annotations

import importlib
import pickle
import sys

import cloudpickle
import joblib
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lading.core.errors import ModelError
from lading.model import inspect
from lading.model.code import FirstParty

HELPER = """\
import os
from subprocess import run as sh
import collections as also
SETTING = os.system
class Thing: ...
class Late: ...
def double(rows): return rows
def gone(rows): ...
del gone
def swapped(rows): ...
from os import popen as swapped
try:
    from posix import system as maybe
except ImportError:
    def maybe(): ...
for looped in (os.system,): ...
with open(os.devnull) as opened: ...
class Late(Thing): ...
if (walrus := os.system): ...
"""


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


def whole(body: bytes) -> bytes:
    return b"\x80\x04" + body + b"."


def call(callee: bytes, *arguments: bytes) -> bytes:
    return callee + b"(" + b"".join(arguments) + b"tR"


THING = name("helper", "Thing")
DOUBLE = name("helper", "double")
MADE = THING + b")\x81"


@pytest.fixture
def risks_with(write):
    """Inspect a file beside the author's helper; list the names of its risks."""

    def risks_with(body: bytes) -> list[str]:
        code = write("code/helper.py", HELPER).parent
        return [risk.name for risk in inspect(write("code.pkl", whole(body)), code=code).risks]

    return risks_with


@pytest.mark.parametrize(
    "evil",
    [
        *("os.system", "os", "sh", "also", "also.abc", "SETTING", "gone", "swapped", "maybe", "looped"),
        *("opened", "walrus", "absent", "Thing.__init__", "Thing.__init__.__globals__", "double.__globals__"),
    ],
)
def test_only_what_the_module_itself_defines_is_trusted(evil, risks_with):
    body = MADE + b"}" + text("x") + call(name("helper", evil), text("true")) + b"sb"
    assert risks_with(body) == [f"helper.{evil}"]


@pytest.mark.parametrize("protocol", [0, 2])
def test_older_protocols_are_held_to_the_same(protocol, write):
    code = write("code/helper.py", HELPER).parent
    start = b"\x80\x02" if protocol else b""
    model = write("code.pkl", start + b"chelper\nThing\n)\x81}(U\x01xchelper\nsh\nU\x04true\x85Rub.")
    assert [risk.name for risk in inspect(model, code=code).risks] == ["helper.sh"]


@pytest.mark.parametrize("evil", ["os.system", "sh"])
def test_a_routine_does_not_lend_its_imports(evil, write):
    write("m/score.py", HELPER + "def init(): ...\ndef run(data): ...\n")
    folder = write("m/data.pkl", whole(call(name("score", evil), text("true")))).parent
    assert [risk.name for risk in inspect(folder).risks] == [f"score.{evil}"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(MADE + b"}" + text("x") + DOUBLE + b"sb", id="a function as an attribute"),
        pytest.param(call(THING, text("x")) + b"}b", id="a class called"),
        pytest.param(call(THING, text("x")) + b"(K\x01eK\x01b", id="items, then a state"),
        pytest.param(MADE + b"(" + text("k") + text("v") + b"u", id="entries of a subclass of dict"),
        pytest.param(
            MADE + b"}" + text("x") + call(name("collections", "defaultdict"), DOUBLE) + b"sb",
            id="a function that makes defaults",
        ),
        pytest.param(
            call(name("copyreg", "_reconstructor"), THING, name("builtins", "object"), b"N") + b"}b",
            id="the form of protocol 0",
        ),
    ],
)
def test_what_picklers_write_of_the_authors_classes_is_no_risk(body, risks_with):
    assert risks_with(body) == []


def test_a_function_called_with_the_files_arguments_is_a_risk(risks_with):
    body = MADE + b"}" + text("x") + call(DOUBLE, text("true")) + b"sb"
    assert risks_with(body) == ["helper.double"]


@pytest.mark.parametrize("callee", [THING, name("sklearn.neighbors._kd_tree", "KDTree")])
def test_a_function_handed_to_what_might_call_it_is_a_risk(callee, risks_with):
    body = MADE + b"}" + text("x") + call(callee, DOUBLE) + b"sb"
    assert risks_with(body) == ["helper.double"]


@pytest.mark.parametrize("old", [b"(" + DOUBLE + b"ihelper\nThing\n", b"(" + THING + DOUBLE + b"o"])
def test_a_function_handed_over_by_old_instructions_is_a_risk_as_well(old, risks_with):
    assert risks_with(old) == ["helper.double"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (MADE + b"}" + text("__setstate__") + DOUBLE + b"sb", "special methods"),
        (MADE + b"}" + text("f") + DOUBLE + b"sb}b", "second state"),
        (MADE + b"}" + text("extend") + DOUBLE + b"sb(" + text("true") + b"e", "no list"),
        (MADE + b"}" + text("add") + DOUBLE + b"sb(" + text("true") + b"\x90", "no set"),
        (THING + b"}" + text("predict") + DOUBLE + b"sb", "no instance"),
        (MADE + b"(" + text("true") + b"tR", "computed"),
    ],
)
def test_the_authors_objects_do_not_call_what_the_file_gives_them(body, expected, risks_with):
    with pytest.raises(ModelError, match=expected):
        risks_with(body)


TRANSFORMERS = """\
import enum
from dataclasses import dataclass, field
from typing import NamedTuple
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

def logarithm(rows): return np.log1p(rows)

class Unit(enum.Enum):
    METRE = "m"

class Limits(NamedTuple):
    low: float
    function: object

@dataclass
class Options:
    names: list = field(default_factory=list)

class Words(dict): ...
class Rows(list): ...

class Slotted:
    __slots__ = ("a",)

class Reduced:
    def __init__(self, rows): self.rows = rows
    def __reduce__(self): return Reduced, (self.rows,), {"rows": self.rows}

class Stateful:
    def __getstate__(self): return [np.ones(2), 3]
    def __setstate__(self, state): ...

class Clip(TransformerMixin, BaseEstimator):
    def __init__(self, unit=None): self.unit = unit
    def fit(self, rows, labels=None):
        self.parts_ = [Unit.METRE, Limits(1.0, logarithm), Options(["a"]), Words(a=1), Rows([1, 2]),
                       Reduced(np.ones(3)), Stateful(), logarithm, Clip, np.float64(2)]
        self.parts_[3].function = logarithm
        slotted = Slotted(); slotted.a = 1; self.parts_.append(slotted)
        return self
    def transform(self, rows): return rows
"""


@pytest.fixture
def pipeline(write, monkeypatch):
    """A pipeline with a transformer of the author's, and the folder of its code."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    code = write("code/own_transformers/steps.py", TRANSFORMERS).parent.parent
    monkeypatch.syspath_prepend(str(code))
    module = importlib.import_module("own_transformers.steps")
    yield (
        make_pipeline(module.Clip("m"), FunctionTransformer(module.logarithm), LinearRegression()).fit(
            [[1.0], [2.0]], [1.0, 2.0]
        ),
        code,
    )
    for loaded in [one for one in sys.modules if one.startswith("own_transformers")]:
        del sys.modules[loaded]


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("library", [pickle, cloudpickle, joblib])
def test_a_real_transformer_of_the_authors_is_no_risk(library, protocol, pipeline, tmp_path):
    trained, code = pipeline
    with (tmp_path / "model.pkl").open("wb") as file:
        library.dump(trained, file, protocol=protocol)
    facts = inspect(tmp_path / "model.pkl", code=code)
    assert facts.risks == ()
    assert facts.flavour == "sklearn Pipeline"


def test_modules_are_found_as_python_finds_them(write):
    write("code/a/__init__.py", "class InPackage: ...")
    write("code/a.py", "class Hidden: ...")
    write("code/b/c.py", "class Deep: ...\ndef low(): ...")
    code = write("code/json.py", "class Standard: ...").parent
    own = FirstParty(code)
    found = {
        name: own.kind_of(*name)
        for name in [("a", "InPackage"), ("a", "Hidden"), ("b.c", "Deep"), ("b.c", "low"), ("b", "c")]
    }
    assert found == {
        ("a", "InPackage"): "own class",
        ("a", "Hidden"): None,
        ("b.c", "Deep"): "own class",
        ("b.c", "low"): "own function",
        ("b", "c"): None,
    }
    assert own.kind_of("json", "Standard") is None
    assert FirstParty(code / "a.py").kind_of("a", "Hidden") == "own class"
    assert FirstParty(code / "a.py").kind_of("b.c", "Deep") is None


def test_a_module_whose_functions_the_model_names_is_no_routine(tmp_path, monkeypatch):
    (tmp_path / "halving.py").write_text("def halved(rows): return rows\n")
    monkeypatch.syspath_prepend(tmp_path)
    step = FunctionTransformer(importlib.import_module("halving").halved)
    rows = [[1.0], [2.0]]
    for name, model in (("own", make_pipeline(step, LinearRegression())), ("other", LinearRegression())):
        joblib.dump(model.fit(rows, [1, 2]), tmp_path / f"{name}.joblib")
    del sys.modules["halving"]  # monkeypatch would put it back
    own, other = (
        inspect(tmp_path / f"{name}.joblib", code=tmp_path / "halving.py") for name in ("own", "other")
    )
    assert (own.format, own.risks) == ("sklearn", ())
    assert (other.format, other.entry) == ("python", "halving.py:halved")
