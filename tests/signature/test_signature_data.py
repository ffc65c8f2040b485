"""A signature inferred from data: of every file what MLflow's `infer_signature` says of it.

`mlflow_infers.json` is what MLflow 3.17.2 with pandas 3 says of the files of `tests/datafiles.py`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datafiles import write
from lading.core.errors import LadingError, SpecError
from lading.core.signature import Field, Signature
from lading.signature import data

INFERS = json.loads(Path(__file__).with_name("mlflow_infers.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return write(tmp_path_factory.mktemp("samples"))


def inferred(path):
    """Return the rows that are inferred; None where parameters are refused."""
    try:
        if path.name.startswith("params"):
            return Signature(params=data.params(json.loads(path.read_text()))).to_json()["params"]
        return Signature(data.infer(path).fields).to_json()["inputs"]
    except LadingError:
        return None


def named(rows):
    """Write names as texts: of columns without names pandas makes numbers."""
    return rows and [{key: str(one) if key == "name" else one for key, one in row.items()} for row in rows]


def test_every_file_has_the_signature_that_mlflow_infers(samples):
    assert set(samples) == set(INFERS)
    assert {name: inferred(path) for name, path in samples.items()} == {
        name: named(rows) for name, rows in INFERS.items()
    }


def test_what_has_no_type_is_told_by_its_column(samples):
    told = data.infer(samples["decimal.parquet"])
    assert told.fields == (Field("any"),)
    assert told.notes[0] == "column 'decimal': decimal128(2, 1) has no type in a signature"
    assert "as MLflow has it" in told.notes[1]


def test_whole_numbers_are_warned_of_as_mlflow_warns(samples):
    (note,) = data.infer(samples["plain.csv"]).notes
    assert note.startswith("a: whole numbers cannot be missing")
    assert data.infer(samples["words.csv"]).notes == ()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"", r"got '\.txt', expected one of \.csv"),
        ("a.json", b"{", "a.json: no JSON"),
        ("a.jsonl", b'{"a": 1}\n{', "a.jsonl:2: no JSON"),
        ("a.csv", b"", "empty file"),
        ("a.csv", b"a,b\n1,2,3\n1,2,3,4\n", "a.csv:3: no CSV: got 4 cells, expected 3"),
        ("a.csv", b"a\n\xff\n", "not UTF-8"),
        ("a.npy", b"\x93NUMPY\x01\x00\xff\xff", "no arrays of numpy's"),
        ("a.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "a header of 4294967295 bytes"),
        ("a.npz", b"PK\x03\x04", "no arrays of numpy's"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.arrow", b"ARROW1", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name, content, expected, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=expected):
        data.infer(tmp_path / name)


def test_columns_of_one_name_are_told(tmp_path):
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(SpecError, match="several columns called 'a'"):
        data.infer(tmp_path / "a.parquet")


def test_what_is_nested_too_deeply_is_of_any_type(tmp_path):
    (tmp_path / "deep.json").write_text('{"a":' * 500 + "1" + "}" * 500)
    told = data.infer(tmp_path / "deep.json")
    assert told.fields == (Field("any"),)
    assert told.notes[0] == "it is nested more than 100 deep"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SpecError, match="no such file"):
        data.infer(tmp_path / "a.csv")


def test_every_parameter_without_a_type_is_told():
    with pytest.raises(SpecError) as caught:
        data.params({"a": None, "b": [1, "x"], "c": 1})
    assert [one.where for one in caught.value.issues] == ["params.a", "params.b"]


def test_only_what_needs_it_reads_by_pyarrow(samples):
    program = (
        "import sys; sys.modules['pyarrow'] = sys.modules['pandas'] = sys.modules['numpy'] = None\n"
        "from pathlib import Path; from lading.signature import data\n"
        "for path in sys.argv[1:]: data.infer(Path(path))"
    )
    paths = [str(samples[name]) for name in ("rows.json", "plain.csv", "several.npz", "lines.jsonl")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True)
    run = subprocess.run(
        [sys.executable, "-c", program, str(samples["columns.parquet"])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "install lading[data]" in run.stderr
