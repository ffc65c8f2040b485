"""Names in pickles within HDF5 are told, those that tables of pandas have are not."""

import pickle
from pathlib import Path

import pandas as pd
import pytest

from lading.core.ports import ignore
from lading.core.scan import Policy
from lading.model import hdf5
from lading.scan import scan

SAMPLE = Path(__file__).parents[1] / "model" / "samples" / "chain.h5"


class Evil:
    def __reduce__(self):
        return eval, ("1",)


def names(tmp_path, data, policy=None):
    (tmp_path / "table.h5").write_bytes(SAMPLE.read_bytes() + data)
    found = scan(tmp_path, policy or Policy(), second_opinion=False, events=ignore).findings
    return [one.name for one in found]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("before", [0, (8 << 20) - 16])
def test_a_pickle_within_is_found(tmp_path, protocol, before):
    assert hdf5.start_of(SAMPLE) == 0
    data = bytes(before - SAMPLE.stat().st_size if before else 0) + pickle.dumps(Evil(), protocol)
    assert names(tmp_path, data + bytes(40)) == ["builtins.eval"]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_tables_hold_passes(tmp_path, protocol):
    data = pickle.dumps([pd.DataFrame({"a": [1], "b": ["x"]}), pd.offsets.Day(), {"a": 1}], protocol)
    assert names(tmp_path, data + b"cars\nbikes\nX") == []
    assert names(tmp_path, data, Policy(deny_globals=("pandas.*",)))
