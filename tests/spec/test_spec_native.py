"""lading.yaml: what is read, and how every mistake is told at once."""

import json
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lading import spec
from lading.core.errors import SpecError
from lading.core.platform import Platform
from lading.core.signature import Field, Signature
from lading.spec.schema import SHIPPED

FULL = """\
name: iris
version: 1.10
description: Which iris is it?
tags: {team: garden}
model: model.joblib
base: debian:bookworm
python: 3.11.4
requirements: [scikit-learn==1.9.1, numpy]
system_packages: [libgomp1]
indexes:
  extra: [https://wheels.example.com/simple]
  find_links: [wheels]
code: src
entry: score.py:run
server: lading
signature: {inputs: [{type: double, name: size}], params: [{name: top, type: long, default: 3}]}
environment_variables: {LEVEL: 3}
assets: [labels.txt]
example:
  inputs: inputs.csv
  outputs: [0, 1]
  tolerance: 0.5
platforms: [linux/amd64, x86_64, linux/arm64]
allow_unsafe: [numpy.random._pickle.__randomstate_ctor]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"")
    (tmp_path / "src").mkdir()
    (tmp_path / "labels.txt").write_text("a")
    (tmp_path / "inputs.csv").write_text("a,b\n1,x\n2.5,\n")
    return tmp_path


def complaints(text, folder=Path("/nowhere")):
    with pytest.raises(SpecError) as caught:
        spec.parse(text, folder / "lading.yaml")
    return str(caught.value)


def test_every_key_is_read(folder):
    read = spec.parse(FULL, folder / "lading.yaml")
    assert (read.name, read.version, read.python) == ("iris", "1.10", "3.11.4")
    assert read.model == folder / "model.joblib"
    assert read.requirements == ("scikit-learn==1.9.1", "numpy")
    assert read.indexes.find_links == (str(folder / "wheels"),)
    assert read.environment_variables == {"LEVEL": "3"}
    assert read.signature == Signature((Field("double", "size"),), (), (Field("long", "top", default=3),))
    assert read.platforms == (Platform("linux", "amd64"), Platform("linux", "arm64"))
    (example,) = read.examples
    assert example.inputs == {"dataframe_split": {"columns": ["a", "b"], "data": [[1, "x"], [2.5, None]]}}
    assert (example.outputs, example.tolerance) == ([0, 1], 0.5)


def test_a_signature_may_lie_in_a_file(folder):
    (folder / "signature.json").write_text('{"signature": {"inputs": [{"type": "long", "name": "a"}]}}')
    read = spec.parse("signature: signature.json", folder / "lading.yaml")
    assert read.signature == Signature((Field("long", "a"),))
    (folder / "signature.json").write_text('{"inputs": [{"type": "lang"}]}')
    assert "signature.json: signature.inputs[0].type: got 'lang'" in complaints(
        "signature: signature.json", folder
    )


def test_what_is_wrong_with_a_signature_is_told_at_its_place():
    text = "signature:\n  inputs:\n    - {type: long, name: a}\n    - {type: lang}\n  params: [{name: p}]\n"
    told = complaints(text)
    assert "lading.yaml:4:14: signature.inputs[1].type: got 'lang', expected one of boolean" in told
    assert "did you mean 'long'?" in told
    assert "lading.yaml:5:12: signature.params[0]: has no 'type'" in told
    assert "signature: says nothing" in complaints("signature: {}")


def test_an_empty_file_is_a_spec(tmp_path):
    assert spec.parse("", tmp_path / "lading.yaml").model is None


def test_all_issues_come_at_once_in_order_with_line_and_column(folder):
    text = complaints(
        "nmae: iris\npython: 3.x\nmodel: model.jblib\nexample:\n  input: 1\nplatforms: [vax]\n", folder
    )
    lines = [line for line in text.splitlines() if not line.startswith("  fix")]
    where = str(folder / "lading.yaml")
    assert [line.removeprefix(where).split(": ")[0] for line in lines] == [
        ":1:1",
        ":2:9",
        ":3:8",
        ":5:3",
        ":6:12",
    ]
    assert "did you mean 'name'?" in text
    assert "did you mean 'model.joblib'?" in text
    assert "did you mean 'inputs'?" in text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [a]", "name: got a list, expected text"),
        ("name: Iris!", "name: got name 'Iris!'"),
        ("tags: 3", "tags: got '3', expected keys and values"),
        ("requirements: {a: b}", "requirements: got keys and values, expected text or a list"),
        ("requirements: [[a]]", "requirements[0]: got a list, expected text"),
        ("server: ladin", "did you mean 'lading'?"),
        ("example: {inputs: 1, tolerance: much}", "example.tolerance: got 'much', expected a number"),
        ("example: {inputs: 1, tolerance: -1}", "example.tolerance: got -1.0, expected zero or more"),
        ("example: {outputs: 1}", "'inputs' is missing"),
        ("name: a\nname: b", "key 'name' stands twice"),
        ("- a", "got a list, expected keys and values"),
        ("a: [", "not YAML"),
        ("a: b\n---\na: c", "got 2 documents, expected one"),
        ("a: \x00", "not YAML"),
        ("model: hdfs:/iris/3", "got the URI 'hdfs:/iris/3'"),
        ("entry: score", "expected 'file.py'"),
        ("base: debian:bokworm", "did you mean 'debian:bookworm'?"),
        ("accelerator: cu127", "got 'cu127', expected one such as 'cu126', 'cu128'"),
        ("python: 3.7", "got '3.7', expected 3.8 to 3.14"),
        (
            "requirements: [numpy, scikit-learn=1.2]",
            "requirements[1]: got 'scikit-learn=1.2', expected a requirement",
        ),
        ("compile: fast", "got 'fast', expected 'auto' or 'off' or 'onnx' or 'treelite'"),
        ("compile: treelite", "got 'treelite' without 'compile_tolerance'"),
        ("compile: onnx", "compile: got 'onnx' without 'compile_tolerance'"),
        ("compile: off\ncompile_tolerance: 0.1", "got 0.1 with compile 'off'"),
        ("compile: treelite\ncompile_tolerance: -1", "compile_tolerance: got -1.0, expected zero or more"),
        ("environment_variables: {1X: a}", "got '1X', expected a variable's name"),
    ],
)
def test_a_mistake_is_told(text, said):
    assert said in complaints(text)


@pytest.mark.parametrize(
    "text",
    [
        "compile: treelit\ncompile_tolerance: 1e-6",
        "compile: treelite\ncompile_tolerance: much",
        "compile: treelite\ncompile_tolerance:",
        "compile: treelite\ncompile_tolerance: -1",
    ],
)
def test_a_mistake_about_compiling_is_told_once(text, tmp_path):
    with pytest.raises(SpecError) as caught:
        spec.parse(text, tmp_path / "lading.yaml")
    assert len(caught.value.issues) == 1


def test_a_number_may_be_written_with_an_exponent_alone(tmp_path):
    text = "compile: treelite\ncompile_tolerance: 1e-6\nexample: {inputs: [1], tolerance: 1E-3}"
    found = spec.parse(text, tmp_path / "lading.yaml")
    assert (found.compile_tolerance, found.examples[0].tolerance) == (1e-6, 1e-3)


def test_credentials_in_an_index_are_refused():
    text = complaints("indexes: {url: 'https://me:hunter2@example.com/simple'}")
    assert "credentials in the URL of 'example.com'" in text


@pytest.mark.parametrize(
    "key", ["indexes", "indexes.extra", "model", "requirements", "name", "assets", "nonsense"]
)
def test_a_secret_in_the_wrong_place_is_not_repeated(key):
    value = "'https://me:hunter2@example.com/simple'"
    outer, _, inner = key.partition(".")
    assert "hunter2" not in complaints(f"{outer}: {{{inner}: {value}}}" if inner else f"{outer}: {value}")


def test_a_bomb_of_aliases_is_refused():
    rows = ["- &a0 [x]"] + [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    assert "too large" in complaints("example:\n  inputs:\n  " + "\n  ".join(rows))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_no_value_of_any_key_raises_anything_but_a_spec_error(value):
    for key in ("name", "example", "indexes", "requirements", "platforms", "tags"):
        with suppress(SpecError):
            spec.parse(yaml.safe_dump({key: value}), Path("/nowhere/lading.yaml"))


@given(st.text())
def test_no_text_raises_anything_but_a_spec_error(text):
    with suppress(SpecError):
        spec.parse(text, Path("/nowhere/lading.yaml"))


def test_the_shipped_schema_is_the_generated_one():
    assert SHIPPED.read_text(encoding="utf-8") == spec.schema(), "run scripts/fix"


def test_the_schema_accepts_what_the_reader_accepts_and_refuses_the_rest():
    validator = jsonschema.Draft202012Validator(json.loads(spec.schema()))
    assert not list(validator.iter_errors(yaml.safe_load(FULL)))
    assert list(validator.iter_errors({"nmae": "iris"}))
    assert list(validator.iter_errors({"server": "x"}))
    assert list(validator.iter_errors({"example": {"outputs": 1}}))
