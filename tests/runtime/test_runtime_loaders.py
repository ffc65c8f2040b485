"""Loaders, asked as the worker asks them, in this process: the models are the tests' own."""

import copy
import json
import math
import pickle
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.feature_extraction import DictVectorizer

from lading.model import inspect
from lading_runtime import wire
from lading_runtime.loaders import estimators
from lading_runtime.loaders import pickle as pickle_loader
from lading_runtime.loaders.table import Table
from lading_runtime.worker import fork, inputs, results


def request(content, tensors, **parameters):
    entries = [wire.tensor(name, kind, shape, data, extra) for name, kind, shape, data, extra in tensors]
    header = {"parameters": {"content": content, **parameters}, "inputs": entries}
    return inputs.Request(header, memoryview(bytearray(b"".join(one[3] for one in tensors))))


def matrix(table, columns=None):
    table = np.asarray(table, dtype="float64")
    tensors = [("matrix", "FP64", list(table.shape), table.tobytes(), None)]
    return request("frame", tensors, **({"columns": columns} if columns else {}))


WRITERS = {
    "pickle": lambda model, path: path.write_bytes(pickle.dumps(model)),
    "cloudpickle": lambda model, path: path.write_bytes(cloudpickle.dumps(model)),
    "joblib": joblib.dump,
    "joblib-zlib": lambda model, path: joblib.dump(model, path, compress=3),
    "joblib-lz4": lambda model, path: joblib.dump(model, path, compress="lz4"),
}


@pytest.mark.parametrize("form", WRITERS)
def test_every_form_of_pickle_is_loaded(tmp_path, bare_model, iris, form):
    WRITERS[form](bare_model, tmp_path / "model")
    options = {"file": "model", "serialization": form.split("-")[0]}
    loaded = pickle_loader.load(str(tmp_path), options)
    assert loaded.facts == {"names": None, "width": 4, "batches": True}
    rows = iris.to_numpy()
    assert np.array_equal(loaded.predict(matrix(rows)), bare_model.predict(rows))


def test_the_name_of_a_file_tells_how_it_was_written_where_nothing_else_does(tmp_path, bare_model):
    joblib.dump(bare_model, tmp_path / "model.joblib", compress=3)
    assert pickle_loader.load(str(tmp_path), {"file": "model.joblib"}).facts["width"] == 4


def test_skops_is_loaded_with_the_types_that_were_trusted(tmp_path, bare_model):
    skops = pytest.importorskip("skops.io", reason="uv pip install skops")
    skops.dump(bare_model, tmp_path / "model.skops")
    assert pickle_loader.load(str(tmp_path), {"file": "model.skops"}).facts["width"] == 4


def test_another_method_may_be_asked_for_by_either_name(tmp_path, bare_model, iris):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(bare_model))
    rows = iris.to_numpy()[:3]
    for option in ("method", "predict_fn"):
        loaded = pickle_loader.load(str(tmp_path), {"file": "m.pkl", option: "predict_proba"})
        assert np.array_equal(loaded.predict(matrix(rows)), bare_model.predict_proba(rows))


class Wide(BaseEstimator):
    """As CatBoost's estimators are that were fitted on an array, once they are unpickled."""

    n_features_in_ = 0

    def predict(self, rows):
        return np.asarray(rows).sum(axis=1)


def test_what_an_encoder_answers_is_dense_and_a_vectorizer_of_records_is_given_them(tmp_path):
    records = [{"a": 1.0, "b": 2.0}, {"a": 3.0}]
    model = DictVectorizer().fit(records)
    joblib.dump(model, tmp_path / "m.joblib")
    loaded = pickle_loader.load(str(tmp_path), {"file": "m.joblib", "method": "transform"})
    rows = matrix([[1.0, 2.0], [3.0, math.nan]], columns=["a", "b"])
    assert loaded.predict(rows).tolist() == model.transform(records).toarray().tolist()


def test_an_estimator_that_has_forgotten_its_width_takes_rows_of_any(tmp_path):
    (tmp_path / "m.pkl").write_bytes(cloudpickle.dumps(Wide()))
    loaded = pickle_loader.load(str(tmp_path), {"file": "m.pkl"})
    assert loaded.facts["width"] is None
    rows = request("array", [("input-0", "FP64", [2, 2], np.arange(4.0).tobytes(), None)])
    assert list(loaded.predict(rows)) == [1, 5]


def test_a_pickled_booster_of_xgboost_is_asked_by_what_it_takes(tmp_path, iris):
    import xgboost

    rows = iris.to_numpy()
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(rows, rows[:, 0], feature_names=list("abcd")), 2)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(booster))
    loaded = pickle_loader.load(str(tmp_path), {"file": "m.pkl"})
    expected = booster.predict(xgboost.DMatrix(rows, feature_names=list("abcd")))
    assert np.array_equal(loaded.predict(matrix(rows, list("abcd"))), expected)
    assert loaded.facts["names"] == list("abcd")


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_categories_of_a_pickled_estimator_are_found_by_their_values(tmp_path, library):
    rows = pd.DataFrame({"size": [1.0, 2.0, 3.0] * 20, "colour": ["red", "blue", "green"] * 20})
    rows["colour"] = rows["colour"].astype("category")
    kind = {"lightgbm": "LGBMClassifier", "xgboost": "XGBClassifier"}[library]
    more = {"verbose": -1} if library == "lightgbm" else {"enable_categorical": True}
    model = getattr(pytest.importorskip(library), kind)(n_estimators=3, n_jobs=1, **more)
    model.fit(rows[["colour"]], rows["colour"] == "blue")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(model))
    assert "pandas" in {one.text.partition("==")[0] for one in inspect(tmp_path / "m.pkl").requirements}
    loaded = pickle_loader.load(str(tmp_path), {"file": "m.pkl"})
    data = json.dumps(["green", "blue"]).encode()
    asked = request("frame", [("colour", wire.JSON, [2], data, None)])
    assert list(map(bool, loaded.predict(asked))) == [False, True]


def test_columns_that_have_no_names_are_numbered_as_mlflow_numbers_them():
    table = Table(lambda rows: rows[0] + rows[1], numbered=True)
    assert list(table.predict(matrix([[1, 2], [3, 4]], ["0", "1"]))) == [3, 7]


def test_one_job_all_the_way_down(iris):
    from sklearn.ensemble import RandomForestClassifier, VotingClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    forest = RandomForestClassifier(2, n_jobs=2)
    voting = VotingClassifier([("a", forest), ("b", RandomForestClassifier(2))], n_jobs=2)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), voting), {"votingclassifier__a__n_estimators": [2]}, cv=2
    )
    search.fit(iris, np.arange(150) % 3)
    estimators.use_one_job(search)
    best = search.best_estimator_.steps[-1][1]
    assert [best.n_jobs, best.estimators_[0].n_jobs, best.estimators_[1].n_jobs] == [1, 1, None]


def test_a_model_that_knows_names_is_given_a_frame_and_another_an_array(named_model, bare_model, iris):
    asked = matrix(iris.to_numpy()[:2], list(iris.columns))
    assert list(pickle_loader.Estimator(copy.deepcopy(named_model), "predict")._data(asked).columns) == list(
        iris.columns
    )
    assert isinstance(pickle_loader.Estimator(bare_model, "predict")._data(asked), np.ndarray)


def test_arrays_are_writable_and_aligned_wherever_they_lie():
    odd = ("flags", "BOOL", [3], b"\x01\x00\x01", None)
    number = ("x", "FP64", [1], np.array([0.5]).tobytes(), None)
    arrays = request("tensors", [odd, number]).arrays()
    for array in arrays.values():
        assert array.flags.aligned
        assert array.flags.writeable
    assert arrays["x"].tolist() == [0.5]


def test_columns_of_different_types_stand_side_by_side():
    number = ("x", "INT64", [2], np.array([1, 2]).tobytes(), None)
    text = ("t", "JSON", [2], b'["a",null]', None)
    nested = ("n", "JSON", [2], b"[[1],[2,3]]", None)
    time = ("w", "JSON", [2], b'["2026-01-02",null]', {"type": "datetime"})
    asked = request("frame", [number, text, nested, time])
    assert asked.array()[:, :3].tolist() == [[1, "a", [1]], [2, None, [2, 3]]]
    frame = asked.frame()
    assert [str(frame[name].dtype) for name in "xw"] == ["int64", "datetime64[ns]"]
    assert frame["n"].tolist() == [[1], [2, 3]]
    assert request("frame", [number, number]).array().dtype == "int64"


@pytest.mark.parametrize("kind", ["int8", "uint64", "float32", "float64", "bool", "int32"])
def test_an_array_comes_back_in_its_own_type(kind):
    array = np.array([[0, 1], [1, 0]], dtype=kind)
    content, [(entry, data)] = results.encode(array.T)
    assert (content, entry["shape"]) == ("array", [2, 2])
    back = inputs.Request(
        {"parameters": {"content": "array"}, "inputs": [entry]}, memoryview(bytearray(data))
    )
    assert back.array().dtype == array.dtype
    assert np.array_equal(back.array(), array.T)


STUB = """
    class PyFuncModel:
        def predict(self, data, params=None):
            return [type(data).__name__, params]
    def load_model(path):
        return PyFuncModel()
"""


def test_pyfunc_is_given_frames_and_parameters(serve):
    params = [{"name": "alpha", "type": "double", "default": 0.5, "shape": None}]
    signature = {"inputs": [{"type": "double", "name": "x", "required": True}], "params": params}
    files = {"mlflow/__init__.py": "", "mlflow/pyfunc.py": STUB}
    with serve(files=files, bill_model={"loader": "pyfunc", "signature": signature}) as served:
        rows = {"dataframe_records": [{"x": 1}]}
        assert served.predictions(rows) == ["DataFrame", {"alpha": 0.5}]
        assert served.predictions({**rows, "params": {"alpha": 2, "beta": 1}}) == ["DataFrame", {"alpha": 2}]
        answer = served.ask("POST", "/invocations", b"x\n1\n", {"content-type": "text/csv"})[1]
        assert json.loads(answer) == {"predictions": ["DataFrame", {"alpha": 0.5}]}
        status, answer = served.post({**rows, "params": {"alpha": "x"}})
        assert (status, answer["message"][:22]) == (400, "parameter 'alpha': got")
        assert served.post({**rows, "params": [1]})[0] == 400
        status, answer = served.post({**rows, "params": {"alpha": None}})
        assert (status, answer["message"][:26]) == (400, "parameter 'alpha': got nul")


def test_whole_numbers_and_times_are_what_they_are_among_parameters_too(serve):
    params = [
        {"name": "day", "type": "datetime", "default": "2026-01-02", "shape": None},
        {"name": "since", "type": "datetime", "default": None, "shape": None},
        {"name": "times", "type": "datetime", "default": ["2026-01-02T03:04:05.5"], "shape": [-1]},
        {"name": "top", "type": "long", "default": 1, "shape": None},
        {"name": "all", "type": "long", "default": [1], "shape": [-1]},
        {"name": "rates", "type": "double", "default": [], "shape": [-1]},
        {"name": "rate", "type": "double", "default": 0.5, "shape": None},
    ]
    signature = {"inputs": [{"type": "double", "name": "x", "required": True}], "params": params}
    files = {"mlflow/__init__.py": "", "mlflow/pyfunc.py": STUB.replace(", params]", ", repr(params)]")}
    with serve(files=files, bill_model={"loader": "pyfunc", "signature": signature}) as served:
        odd = {"rates": [math.inf, -math.inf], "rate": math.nan}  # which have no form in JSON
        asked = {"dataframe_records": [{"x": 1}], "params": {"top": 2.0, "all": [3.0], **odd}}
        assert served.predictions(asked)[1] == (
            "{'day': datetime.date(2026, 1, 2), 'since': None, "
            "'times': [datetime.datetime(2026, 1, 2, 3, 4, 5, 500000)], 'top': 2, 'all': [3], "
            "'rates': [inf, -inf], 'rate': nan}"
        )
        asked["params"]["since"] = "2026-01-02T03:04:05+01:00"
        assert "'since': datetime.datetime(2026, 1, 2, 2, 4, 5)" in served.predictions(asked)[1]
        asked["params"]["since"] = "2026-01-02T03:04:05.000000001"
        assert served.post(asked)[1]["message"].startswith("parameter 'since': got \"2026")


def test_what_mlflow_says_is_the_clients_fault_is_refused(serve):
    code = """
        class MlflowException(Exception):
            error_code = "INVALID_PARAMETER_VALUE"
        class PyFuncModel:
            def predict(self, data, params=None):
                raise MlflowException("no rows")
        def load_model(path):
            return PyFuncModel()
    """
    files = {"mlflow/__init__.py": "", "mlflow/pyfunc.py": code}
    with serve(files=files, bill_model={"loader": "pyfunc"}) as served:
        status, answer = served.post({"instances": [[1]]})
        assert (status, answer["message"]) == (400, "the model refused the input: no rows")


def test_a_dictionary_of_arrays_is_named_tensors_and_a_row_for_each_instance(serve):
    code = """
        import numpy as np
        class PyFuncModel:
            def predict(self, data, params=None):
                x = data["x"].to_numpy()
                words = np.array(["a"] * len(x), dtype=object)
                return {"sum": x * 2, "both": np.stack([x, x], 1), "word": words}
        def load_model(path):
            return PyFuncModel()
    """
    signature = {"inputs": [{"type": "double", "name": "x", "required": True}]}
    files = {"mlflow/__init__.py": "", "mlflow/pyfunc.py": code}
    with serve(files=files, bill_model={"loader": "pyfunc", "signature": signature}) as served:
        asked = {"instances": [{"x": 1}, {"x": 2}]}
        expected = {"sum": [2.0, 4.0], "both": [[1.0, 1.0], [2.0, 2.0]], "word": ["a", "a"]}
        assert served.predictions(asked) == expected
        rows = [{"sum": 2.0, "both": [1.0, 1.0], "word": "a"}, {"sum": 4.0, "both": [2.0, 2.0], "word": "a"}]
        assert served.post(asked, "/v1/models/iris:predict") == (200, {"predictions": rows})
        tensors = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [2], "data": [1, 2]}]}
        status, answer = served.post(tensors, "/v2/models/iris/infer")
        shown = [(one["name"], one["datatype"], one["shape"], one["data"]) for one in answer["outputs"]]
        assert (status, shown) == (
            200,
            [
                ("sum", "FP64", [2], [2, 4]),
                ("both", "FP64", [2, 2], [1, 1, 2, 2]),
                ("word", "BYTES", [2], ["a", "a"]),
            ],
        )


def test_a_socket_path_that_is_no_socket_is_left_alone(serve, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    files = {"score.py": "def run(data): ..."}
    with serve(entry="score.py", files=files, environ={"LADING_UDS": str(precious)}, ready=False) as served:
        assert served.process.wait(20) == 1
        assert "no socket to listen on" in served.log
    assert Path(precious).read_text() == "kept"


def test_only_what_is_known_to_answer_row_by_row_is_given_rows_of_several_requests(bare_model):
    from sklearn.decomposition import NMF
    from sklearn.ensemble import VotingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    assert estimators.answers_by_row(bare_model, "predict_proba")
    assert estimators.answers_by_row(make_pipeline(StandardScaler(), bare_model), "predict")
    assert estimators.answers_by_row(VotingClassifier([("one", bare_model)]), "predict")
    assert not estimators.answers_by_row(bare_model, "score")
    assert not estimators.answers_by_row(make_pipeline(FunctionTransformer(), bare_model), "predict")
    assert not estimators.answers_by_row(make_pipeline(NMF(), bare_model), "predict")
    assert not estimators.answers_by_row(make_pipeline(StandardScaler(), Mine()), "predict")
    assert not estimators.answers_by_row(Keeper([]), "predict")


@pytest.mark.parametrize(("count", "compress", "is_mapped"), [(3, 0, True), (3, 3, False), (70, 0, False)])
def test_large_arrays_of_a_joblib_file_stay_in_it_and_are_ones_own_when_written_to(
    tmp_path, count, compress, is_mapped
):
    arrays = [np.full(1 << 15, float(index)) for index in range(count - 1)] + [np.zeros(1 << 17)]
    joblib.dump(Keeper(arrays), tmp_path / "model.joblib", compress=compress)
    before = (tmp_path / "model.joblib").read_bytes()
    loaded = pickle_loader.load(str(tmp_path), {"file": "model.joblib"})
    kept = loaded._predict.__self__.arrays
    assert [isinstance(one, np.memmap) for one in kept] == [is_mapped] * count
    assert fork.count_open(str(tmp_path / "model.joblib")) == (count if is_mapped else 0)
    assert all((one == other).all() for one, other in zip(kept, arrays, strict=True))
    kept[0][0] = 5
    assert kept[0][0] == 5
    assert (tmp_path / "model.joblib").read_bytes() == before


class Keeper:
    def __init__(self, arrays):
        self.arrays = arrays

    def predict(self, data):
        return data


class Mine(BaseEstimator):
    """One's own estimator may look at all rows."""

    def predict(self, data):
        return data - data.mean()


@pytest.mark.parametrize("kind", ["RandomForestClassifier", "ExtraTreesRegressor", "RandomForestRegressor"])
def test_a_forest_gives_the_same_bits_without_joblib(kind, iris):
    import sklearn.ensemble

    target = np.arange(150) % 3
    model = getattr(sklearn.ensemble, kind)(20, random_state=0, n_jobs=2).fit(iris.to_numpy(), target)
    name = "predict_proba" if kind.endswith("Classifier") else "predict"
    rows = np.random.default_rng(1).normal(3, 2, (500, 4))
    rows[::7, 0] = np.nan
    expected = getattr(model, name)(rows)
    estimators.quicken(model)
    assert name in vars(model), "it was taken"
    assert getattr(model, name)(rows).tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="infinity"):
        model.predict([[np.inf, 0, 0, 0]])
    with pytest.raises(ValueError, match="3 features"):
        model.predict([[0, 0, 0]])


def test_a_forest_of_several_outputs_is_left_as_it_is(iris):
    from sklearn.ensemble import RandomForestClassifier

    targets = np.column_stack([np.arange(150) % 3, np.arange(150) % 2])
    model = RandomForestClassifier(3, random_state=0).fit(iris.to_numpy(), targets)
    estimators.quicken(model)
    assert "predict_proba" not in vars(model)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [("a", "tensors", "dict"), ("a", "array", "dict"), ("input-0", "array", "ndarray")],
)
def test_a_model_of_ones_own_is_given_a_tensor_that_has_a_name_by_name(name, content, expected):
    asked = request(content, [(name, "FP64", [1, 2], np.zeros((1, 2)).tobytes(), None)])
    assert Table(lambda data: type(data).__name__, by_name=True).predict(asked) == expected
    assert Table(lambda data: type(data).__name__).predict(asked) == "ndarray"


def test_a_column_of_objects_stays_one_and_null_is_nan_in_it():
    column = ("c", "JSON", [4], b'["1", 1, true, null]', {"type": "object"})
    frame = request("frame", [column]).frame()
    assert frame["c"].dtype == object
    assert [type(one) for one in frame["c"]] == [str, int, bool, float]
