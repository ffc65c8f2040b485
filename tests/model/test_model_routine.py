"""Inference routines of one's own: found in the syntax tree, never imported."""

from __future__ import annotations

import gzip
import importlib.metadata
import pickle

import pytest
from sklearn.linear_model import LinearRegression

from lading.core.errors import ModelError
from lading.model import inspect

INIT_RUN = "import json\nimport numpy as np\ndef init(): ...\ndef run(data): return data\n"
CLASS = "class Model:\n    def load(self): ...\n    def predict(self, data): return data\nclass Other: ...\n"
FUNCTION = "def predict(data):\n    return data\n"
ASYNC_RUN = "async def init(): ...\nasync def run(data): return data\n"
ASYNC = "class Model:\n    async def setup(self): ...\n    async def predict(self, x: int): yield x\n"
BARE = "class Model:\n    def predict(self, x: int): return x\ndef helper(x): return x\n"
HINTS = (
    "import pydantic\nclass Item(pydantic.BaseModel):\n    x: int\n"
    "def helper(x): return x\nasync def predict(*, item: Item): return item.x\n"
)
ESTIMATOR = "class Model:\n    def fit(self, x): ...\n    def predict(self, x): ...\ndef score(x): return x\n"
BOMB = "raise SystemExit('imported')\n"


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        (INIT_RUN, "score.py"),
        (ASYNC_RUN, "score.py"),
        (CLASS, "score.py:Model"),
        (ASYNC, "score.py:Model"),
        (BARE, "score.py:Model"),
        (FUNCTION, "score.py:predict"),
        (HINTS, "score.py:predict"),
        (ESTIMATOR, "score.py:score"),
        ("def predict(**more): return more\n", "score.py:predict"),
    ],
)
def test_a_routine_is_found_in_a_folder(source, entry, write):
    folder = write("m/score.py", source + BOMB).parent
    facts = inspect(folder)
    assert (facts.format, facts.loader, facts.entry, facts.code) == ("python", "routine", entry, folder)
    assert facts.flavour == f"python {entry}"


def test_a_file_may_be_the_whole_model(write):
    path = write("score.py", FUNCTION)
    facts = inspect(path)
    assert (facts.entry, facts.code, [one.path for one in facts.files]) == (
        "score.py:predict",
        path,
        ["score.py"],
    )


def test_code_may_lie_apart_from_the_model(write):
    model = write("m/weights.bin", b"\x00\x01").parent
    code = write("src/score.py", INIT_RUN).parent
    facts = inspect(model, code=code)
    assert (facts.code, facts.entry) == (code, "score.py")
    assert [one.path for one in facts.files] == ["weights.bin"]


@pytest.mark.parametrize("entry", ["score.py", "score.py:run", "deep/other.py:Model", "deep/other.py"])
def test_an_entry_names_the_routine(entry, write):
    write("src/score.py", INIT_RUN)
    code = write("src/deep/other.py", CLASS).parent.parent
    facts = inspect(code, entry=entry)
    assert facts.entry == ("deep/other.py:Model" if entry == "deep/other.py" else entry)


def test_init_and_run_come_before_classes_before_functions(write):
    folder = write("m/score.py", FUNCTION + CLASS + INIT_RUN).parent
    assert inspect(folder).entry == "score.py"
    write("m/score.py", FUNCTION + CLASS)
    assert inspect(folder).entry == "score.py:Model"


def test_several_routines_must_be_told_apart(write):
    write("m/a.py", FUNCTION)
    folder = write("m/b.py", FUNCTION).parent
    with pytest.raises(ModelError, match=r"routine: 'a\.py:predict', 'b\.py:predict'") as caught:
        inspect(folder)
    assert "entry: file.py:function" in caught.value.issues[0].fix
    assert inspect(folder, entry="b.py:predict").entry == "b.py:predict"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("missing.py", "no file 'missing.py'"),
        ("../score.py", "no file"),
        ("score.py:nothing", "'nothing' is not defined in 'score.py'"),
        ("score.py:Plain", "a class without a method 'predict'"),
        ("empty.py", "no inference routine"),
    ],
)
def test_an_entry_that_leads_nowhere_says_so(entry, expected, write):
    write("m/score.py", "class Plain: ...\ndef predict(x): ...\n")
    write("score.py", FUNCTION)
    folder = write("m/empty.py", "X = 1\n").parent
    with pytest.raises(ModelError, match=expected):
        inspect(folder, entry=entry)


@pytest.mark.parametrize(
    ("text", "where"), [("def (:\n", "score.py:1"), ("\x00", "score.py"), ("x = " + "(" * 999, "score.py")]
)
def test_what_is_no_python_says_where(text, where, write):
    with pytest.raises(ModelError, match="no Python") as caught:
        inspect(write("m/score.py", text).parent)
    assert caught.value.issues[0].where.startswith(where)


def test_an_estimator_with_a_training_script_is_an_estimator(write):
    write("m/train.py", "def train(path): ...\n")
    facts = inspect(write("m/model.pkl", pickle.dumps(LinearRegression())).parent)
    assert facts.format == "sklearn"


def test_an_estimator_with_a_routine_is_served_by_the_routine(write):
    write("m/score.py", INIT_RUN)
    facts = inspect(write("m/model.pkl", pickle.dumps(LinearRegression())).parent)
    assert facts.format == "python"
    version = importlib.metadata.version("scikit-learn")
    assert facts.framework_version == version
    assert f"scikit-learn=={version}" in {one.text for one in facts.requirements}


def test_pickles_beside_a_routine_are_walked_too(write):
    write("m/score.py", INIT_RUN)
    write("m/evil.pkl", b"\x80\x02cos\nsystem\nU\x04true\x85R.")
    folder = write("m/odd.pkl", b"\x80\x04\x82\x01.").parent
    assert [(risk.name, risk.where) for risk in inspect(folder).risks] == [
        ("os.system", "evil.pkl:2"),
        ("odd.pkl", "odd.pkl:2"),
    ]


EVIL = b"cposix\nsystem\n(S'true'\ntR."


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.pkl", b"N0" + EVIL),
        ("weights.bin", b"N0" + EVIL),
        ("weights.bin", b"(S'x'\niposix\nsystem\n."),
        ("weights.bin", b"\x8c\x05posix\x8c\x06system\x93(\x8c\x01xtR."),
        ("weights.bin", b"N0" * 200_000 + EVIL),
        ("weights.bin", b"X" + (1 << 20).to_bytes(4, "little") + b"-" * (1 << 20) + b"0" + EVIL),
        ("weights.gz", gzip.compress(b"N0" + EVIL, mtime=0)),
        ("weights.gz", gzip.compress(b"N0" + EVIL, mtime=0) + gzip.compress(b"more", mtime=0)),
    ],
)
def test_what_pickle_would_run_is_found_however_it_begins(name, data, write):
    write("m/score.py", INIT_RUN)
    (risk,) = inspect(write(f"m/{name}", data).parent).risks
    # what stands behind a compressed stream, readers disagree about
    assert risk.name == (name if data.endswith(gzip.compress(b"more", mtime=0)) else "posix.system")


@pytest.mark.parametrize(
    "name", ["a.pkl", "a.PICKLE", "a.joblib", "a.sav", "a.dill", "a.cloudpickle", "a.pkl.gz"]
)
def test_a_file_named_like_a_pickle_that_is_none_is_a_risk(name, write):
    write("m/score.py", INIT_RUN)
    (risk,) = inspect(write(f"m/{name}", b"hello, world").parent).risks
    assert (risk.name, risk.why.partition(":")[0]) == (name, "a pickle that cannot be followed")


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"(1, 2)\n",
            b"[1]",
            b"{}",
            b"Name,b\n1,2\n",
            b"I,b\n",
            b"0.5 1\n",
            b"\x00" * 99,
            b"\x93NUMPY\x01\x00",
        ),
        *(
            b"PK\x03\x04",
            b"\x89HDF\r\n\x1a\n",
            b"image\nlabel\n",
            b"N.",
            b"lists\n",
            b"\x08\x07\x12\x0cskl2onnx",
        ),
        gzip.compress(b"a,b\n", mtime=0) + gzip.compress(b"1,2\n", mtime=0),
    ],
)
def test_other_data_beside_a_routine_is_no_risk(data, write):
    write("m/score.py", INIT_RUN)
    assert inspect(write("m/data.bin", data).parent).risks == ()


def test_classes_of_the_routines_own_modules_are_no_risk(write):
    write("m/score.py", "import mine\n" + INIT_RUN)
    write("m/mine.py", "class Thing: ...")
    folder = write("m/thing.pkl", b"\x80\x04\x8c\x04mine\x8c\x05Thing\x93)\x81.").parent
    assert inspect(folder).risks == ()


def test_requirements_are_the_installed_distributions_of_what_is_imported(write):
    write(
        "m/score.py",
        "import json, yaml\nfrom sklearn import svm\nimport mine.deep\nfrom . import near\n" + INIT_RUN,
    )
    write("m/mine/__init__.py", "")
    write("m/near.py", "import not_here_at_all\n")
    write("m/mine/deep.py", "def f():\n    import joblib\n")
    facts = inspect(write("m/data.csv", "a,b").parent)
    found = {one.text.partition("==")[0]: one for one in facts.requirements}
    assert found.keys() == {"joblib", "numpy", "pyyaml", "scikit-learn"}
    assert found["numpy"].text == f"numpy=={importlib.metadata.version('numpy')}"
    assert {one.origin for one in found.values()} == {"installed"}
    assert "not_here_at_all" in facts.missing
    assert facts.modules == ("json", "not_here_at_all", "numpy", "sklearn", "yaml")


def test_what_azures_servers_bring_for_a_script_is_not_demanded(write):
    write(
        "m/score.py",
        "import azureml.contrib.services.aml_request\n"
        "from azureml_inference_server_http.api import aml_response\n"
        "from inference_schema import schema_decorators\nimport azureml.core\n" + INIT_RUN,
    )
    facts = inspect(write("m/data.csv", "a,b").parent)
    assert facts.missing == ("azureml",)


def test_what_the_standard_library_is_does_not_depend_on_the_python_that_looks(write):
    write("m/score.py", "import distutils, tomllib, imp, compression.zstd, telnetlib, chunk\n" + INIT_RUN)
    write("m/chunk.py", "import not_here_at_all\n")  # some Pythons have a module of this name
    facts = inspect(write("m/data.csv", "a,b").parent)
    assert facts.missing == ("not_here_at_all",)
    assert {one.text.partition("==")[0] for one in facts.requirements} == {"numpy"}


def test_optional_and_typing_imports_are_not_demanded(write):
    source = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import pandas\n"
        "try:\n    import absent_thing\nexcept ImportError:\n    absent_thing = None\n"
        "try:\n    import joblib\nexcept ModuleNotFoundError:\n    joblib = None\n"
    )
    facts = inspect(write("m/score.py", source + FUNCTION).parent)
    assert [one.text.partition("==")[0] for one in facts.requirements] == ["joblib"]
    assert facts.notes == ()


def test_requirements_beside_the_code_are_the_authors_word(write):
    file = write("m/requirements.txt", "numpy\n")
    facts = inspect(write("m/score.py", "import nothing_known\n" + FUNCTION).parent)
    assert facts.requirements_file == file
    assert facts.requirements == ()
    assert facts.notes == ()
