"""joblib before 0.10: a pickle whose arrays lie in files beside it, which numpy reads, pickles among them."""

import os
import pickle
import warnings

import joblib
import numpy as np
import pytest
from joblib.numpy_pickle_compat import NDArrayWrapper
from sklearn.linear_model import LogisticRegression

from lading.core.errors import ModelError
from lading.model import inspect
from lading_runtime.loaders import pickle as loader


class Calling:
    """What runs a command when it is loaded."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.fixture
def dump(tmp_path, monkeypatch):
    """Write a model as joblib 0.9 did."""
    monkeypatch.setattr(NDArrayWrapper, "__module__", "joblib.numpy_pickle")
    names = []

    class Pickler(pickle._Pickler):
        def save(self, one, **more):
            if type(one) is np.ndarray:
                names.append(f"model.pkl_{len(names) + 1:02d}.npy")
                np.save(tmp_path / names[-1], one)
                one = NDArrayWrapper(names[-1], np.ndarray)
            super().save(one, **more)

    def dump(model):
        with (tmp_path / "model.pkl").open("wb") as stream:
            Pickler(stream, protocol=2).dump(model)
        return tmp_path

    return dump


@pytest.fixture
def model(iris):
    rows, labels = iris
    return LogisticRegression(max_iter=500).fit(rows, labels.map({0: "a", 1: "b", 2: "c"}).astype(object))


def test_a_model_of_several_files_is_one(dump, model, iris):
    folder = dump(model)
    facts = inspect(folder)
    assert facts.risks == ()
    assert facts.loader_options["serialization"] == "joblib"
    assert len(facts.files) > 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = loader.load(str(folder), facts.loader_options)
    assert loaded.estimator.predict(iris[0]).tolist() == model.predict(iris[0]).tolist()


def test_its_pickle_alone_is_not_the_model(dump, model):
    folder = dump(model)
    with pytest.raises(ModelError, match=r"arrays in \d files beside it[\s\S]*point to the folder"):
        inspect(folder / "model.pkl")
    (folder / "model.pkl_01.npy").unlink()
    with pytest.raises(ModelError, match="which is not there"):
        inspect(folder)


def test_an_array_of_objects_is_followed(dump, model):
    folder = dump(model)
    np.save(folder / "model.pkl_01.npy", np.array([Calling()]))
    assert [one.name for one in inspect(folder).risks] == [f"{os.system.__module__}.system"]


@pytest.mark.parametrize("content", [pickle.dumps([1]), b"", b"\x93NUMPY\x01\0\x05\0{'a'}"])
def test_what_is_no_array_is_refused_for_numpy_would_unpickle_it(content, dump, model):
    folder = dump(model)
    (folder / "model.pkl_01.npy").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.pkl_01\.npy: is (no array of numpy's|a header)"):
        inspect(folder)


@pytest.mark.parametrize("name", ["../model.npy", "/tmp/model.npy", "", ".", "a/b.npy"])
def test_a_file_that_is_not_beside_the_pickle_is_refused(name, dump, model):
    folder = dump(model)
    text = (folder / "model.pkl").read_bytes()
    old = b"X\x10\0\0\0model.pkl_01.npy"
    assert old in text
    (folder / "model.pkl").write_bytes(
        text.replace(old, b"X" + len(name).to_bytes(4, "little") + name.encode())
    )
    with pytest.raises(ModelError, match="whose file is not beside the pickle"):
        inspect(folder)


def test_todays_joblib_reads_what_is_written_here(dump, model, iris):
    folder = dump(model)
    with pytest.warns(DeprecationWarning, match="joblib version less than 0.10"):
        found = joblib.load(folder / "model.pkl")
    assert found.predict(iris[0]).tolist() == model.predict(iris[0]).tolist()
