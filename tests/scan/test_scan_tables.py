"""Tables of pandas and plain things of Python's pass, whatever they hold."""

import pathlib
import pickle

import pandas as pd
import pytest

from lading.core.ports import ignore
from lading.core.scan import Policy
from lading.scan import scan

TIMES = pd.date_range("2020", periods=2, tz="UTC")
COLUMNS = {
    "numbers": [1.5, 2],
    "texts": ["a", "b"],
    "categories": pd.Categorical(["a", "b"]),
    "times": TIMES,
    "spans": TIMES - TIMES[0],
    "periods": pd.period_range("2020", periods=2, freq="M"),
    "intervals": pd.interval_range(0, 2),
    "whole": pd.array([1, None], dtype="Int64"),
    "floats": pd.array([1, None], dtype="Float64"),
    "truths": pd.array([True, None], dtype="boolean"),
    "strings": pd.array(["a", None], dtype="string"),
    "sparse": pd.arrays.SparseArray([0, 1]),
    "arrow": pd.array([1, None], dtype="int64[pyarrow]"),
    "scalars": [pd.NaT, pd.Timedelta(1)],
}


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_tables_of_pandas_pass(tmp_path, protocol):
    table = pd.DataFrame(COLUMNS)
    things = [table, table.set_index(["texts", "whole"]), table.dtypes, table.columns]
    things += [table[name] for name in table] + [pd.Index(table[name]) for name in table]
    for number, thing in enumerate(things):
        pd.to_pickle(thing, tmp_path / f"{number}.pkl", protocol=protocol)
    assert scan(tmp_path, Policy(), second_opinion=False, events=ignore).findings == ()


def test_paths_pass(tmp_path):
    (tmp_path / "paths.pkl").write_bytes(pickle.dumps([pathlib.Path("a"), pathlib.PurePosixPath("b"), ...]))
    assert scan(tmp_path, Policy(), second_opinion=False, events=ignore).passed


def test_pickles_of_python_2_are_followed(tmp_path):
    """As Python 2 writes an array: its bytes are a text that is not ASCII."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcnumpy\ndtype\n"
    )
    array += b"(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nU\x04\xff\xfe\x80\x00tb"
    (tmp_path / "old.pkl").write_bytes(array + b".")
    assert scan(tmp_path, Policy(), second_opinion=False, events=ignore).findings == ()
    (tmp_path / "old.pkl").write_bytes(b"U\x02\xff\xfe0cos\nsystem\n(S'true'\ntR.")
    found = scan(tmp_path, Policy(), second_opinion=False, events=ignore).findings
    assert [one.name for one in found] == ["os.system"]
